"""What an encoding is, and in which floats it works."""

from typing import Protocol

import torch
from torch import Tensor

from satclip.sphere import angle_dtype


class Encoding(Protocol):
    """A map from (longitude, latitude) in degrees to `dim` features: a formula, or a module whose weights learn.

    One that holds more numbers of a place at a time than it gives says how many as `working_dim`, so that blocks of
    places are cut to fit. One that has terms of its own for a loss names them in `auxiliary`, a tuple, and has a method
    `with_auxiliary(lonlat [B, 2], image_embeddings [B, D], dtype) -> (features [B, dim], {name: [B, ...]})`, one row a
    place (see `satclip.loss.inputs`); weights that only these reach it names in `auxiliary_weights`. One that has
    something to do in a training has `settle`, `settles_before` and `anneal` (see `satclip.training.upkeep`).
    """

    name: str
    dim: int

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments, ready for JSON."""
        ...

    def __call__(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., dim] in `dtype`, by default that of `lonlat`."""
        ...


def feature_dtype(lonlat: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """Choose the type of features: what was asked for, else that of `lonlat`, else (whole degrees) torch's default."""
    if dtype is not None:
        return dtype
    return lonlat.dtype if lonlat.is_floating_point() else torch.get_default_dtype()


def wide_degrees(lonlat: Tensor) -> Tensor:
    """Degrees in the widest float of their device: an angle is rounded after its sine is taken, not before."""
    return lonlat.to(angle_dtype(lonlat.device))
