"""Evaluate the harmonics at places: sines and cosines, one batched matrix product, one product of rows."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from satclip.harmonics.tables import HarmonicTables
from satclip.sphere import angle_dtype, radians


def evaluate_harmonics(lonlat: Tensor, tables: HarmonicTables, dtype: torch.dtype) -> Tensor:
    """Real spherical harmonics of places in degrees: [N, 2] -> [N, L * L] in `dtype`, l = 0..L-1, m = -l..l in order.

    Angles and series are float64 whatever `dtype` is (float32 on a device without it), so float32 features are exact to
    their own rounding at every degree, and no autocast or TF32 setting reaches a float64 product. Differentiable, and
    finite at the poles in both directions. Memory holds one feature after another: the result is the transpose of a
    contiguous tensor, which a matrix product takes without a copy.
    """
    longitude, latitude = radians(lonlat.to(angle_dtype(lonlat.device))).unbind(-1)
    legendre = legendre_rows(latitude, tables, dtype).index_select(0, tables.legendre_row)
    around = longitude_rows(longitude, tables, dtype).index_select(0, tables.longitude_row)
    return (legendre * around).T


def legendre_rows(latitude: Tensor, tables: HarmonicTables, dtype: torch.dtype) -> Tensor:
    """Evaluate all series: radians [N] -> [rows of the four classes, N] in `dtype`."""
    angle = tables.frequencies * latitude
    (even_cos, odd_cos), (even_sin, odd_sin) = angle.cos().unbind(), angle.sin().unbind()
    waves = torch.stack((even_cos, even_sin, odd_sin, odd_cos))
    # Autocast leaves float64 alone; only a device without it needs the guard.
    with nullcontext() if waves.dtype == torch.float64 else without_autocast(latitude.device):
        return torch.bmm(tables.series, waves).flatten(0, 1).to(dtype)


def longitude_rows(longitude: Tensor, tables: HarmonicTables, dtype: torch.dtype) -> Tensor:
    """Sines of m = 1..L-1, then cosines of m = 0..L-1: radians [N] -> [2 L - 1, N] in `dtype`."""
    angle = tables.orders * longitude
    return torch.cat((angle[1:].sin(), angle.cos())).to(dtype)


def without_autocast(device: torch.device) -> AbstractContextManager[None]:
    """Keep matrix products in the type of their factors, on any device, whether or not it knows autocast."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()
