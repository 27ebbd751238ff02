"""Evaluate the harmonics at places: sines and cosines, four matrix products, one product of rows."""

import torch
from torch import Tensor

from satclip.harmonics.tables import HarmonicTables
from satclip.sphere import angle_dtype


def evaluate_harmonics(lonlat: Tensor, tables: HarmonicTables, dtype: torch.dtype) -> Tensor:
    """Real spherical harmonics of places in degrees: [N, 2] -> [N, L * L] in `dtype`, l = 0..L-1, m = -l..l in order.

    Angles and series are float64 whatever `dtype` is (float32 on a device without it), so float32 features are exact to
    their own rounding at every degree; and no autocast or TF32 setting reaches a float64 product. The features of one
    place are strided (memory holds one feature after another), as a matrix product takes them without a copy.
    """
    wide = angle_dtype(lonlat.device)
    longitude, latitude = torch.deg2rad(lonlat.to(wide)).unbind(-1)
    count = tables.even_even.shape[1] + tables.odd_even.shape[1]
    frequencies = torch.arange(count, dtype=wide, device=lonlat.device)[:, None]
    parallel, meridian = frequencies * longitude, frequencies * latitude
    with torch.autocast(lonlat.device.type, enabled=False):
        legendre = _legendre_rows(meridian.cos(), meridian.sin(), tables).to(dtype)
    around = torch.cat((parallel[1:].flip(0).sin(), parallel.cos())).to(dtype)
    features = legendre.index_select(0, tables.legendre_row) * around.index_select(0, tables.longitude_row)
    return features.T


def _legendre_rows(cosines: Tensor, sines: Tensor, tables: HarmonicTables) -> Tensor:
    return torch.cat(
        (
            tables.even_even @ cosines[0::2],
            tables.even_odd @ sines[0::2],
            tables.odd_even @ sines[1::2],
            tables.odd_odd @ cosines[1::2],
        )
    )
