"""Encodings that have learned nothing: what a trained encoder must beat before anything else."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from satclip.downstream.rivals.frozen import NOTHING, Frozen
from satclip.downstream.rivals.tuned import Tuned
from satclip.location.encodings import ENCODINGS

HARMONICS = "sphericalharmonics"
TUNED_POLYS = (5, 10, 20, 40)  # bare harmonics beyond L = 40 are more features than most label sets have rows


class Raw(nn.Module):
    """Longitude and latitude as they are."""

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> the same."""
        return lonlat


class SinCos(nn.Module):
    """sin lat, cos lat, sin lon, cos lon: the row `sincos` of CoordBench (Corley et al. 2026, arXiv 2609.25454)."""

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, 4]."""
        longitude, latitude = torch.deg2rad(lonlat).unbind(-1)
        return torch.stack((latitude.sin(), latitude.cos(), longitude.sin(), longitude.cos()), -1)


def raw() -> Frozen:
    """Longitude and latitude in degrees."""
    return Frozen("raw", NOTHING, Raw())


def sincos() -> Frozen:
    """Sine and cosine of latitude and of longitude."""
    return Frozen("sincos", NOTHING, SinCos())


def encoding(name: str, options: Mapping[str, Any] | None = None, *, label: str | None = None) -> Frozen:
    """One of the `le_type`s without a network.

    Args:
        name: wrap, cartesian3d, grid, theory, ...
        options: those of its constructor, such as `frequencies` or `min_radius`.
        label: the row's name, by default `name`.

    Raises:
        ValueError: an unknown name, or options that the encoding does not take.
    """
    if name not in ENCODINGS:
        raise ValueError(f"unknown encoding {name!r}; known are {', '.join(ENCODINGS)}")
    options = dict(options or {})
    try:
        built = ENCODINGS[name](**options)
    except TypeError:
        taken = ", ".join(ENCODINGS[name]().options()) or "none"
        raise ValueError(f"{name} does not take {', '.join(options)}; its options are: {taken}") from None
    return Frozen(label or name, NOTHING, built, described=str(built.options()))


def harmonics(legendre_polys: int) -> Frozen:
    """Bare real spherical harmonics of degrees below L, with the degree of each column for a penalty by degree.

    Raises:
        ValueError: when L is not 1 to 100.
    """
    bare = encoding(HARMONICS, {"legendre_polys": legendre_polys}, label=f"harmonics, L = {legendre_polys}")
    every = np.arange(legendre_polys)
    bare.degrees = np.repeat(every, 2 * every + 1)
    return bare


def tuned_harmonics(polys: tuple[int, ...] = TUNED_POLYS) -> Tuned:
    """Bare harmonics, L chosen by the inner folds."""
    return Tuned("harmonics, L tuned", tuple(harmonics(each) for each in polys))


PLAIN: dict[str, Callable[[], Frozen]] = {"raw": raw, "sincos": sincos}
