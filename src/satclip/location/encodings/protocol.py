"""What an encoding is, and in which floats it works."""

from typing import Protocol

import torch
from torch import Tensor

from satclip.sphere import angle_dtype


class Encoding(Protocol):
    """A fixed map from (longitude, latitude) in degrees to `dim` features."""

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
