"""The harmonics of many places on a CPU, where no gradient is asked: in blocks that stay near the cache.

Where sphericart is installed (`pip install satclip[fast]`; Bigi et al. 2023, doi 10.1063/5.0156307) and the degree is
one at which it is exact, it does the work, in float64 whatever the result's type. Without it torch does, two to three
times slower, to the same 1e-13.
"""

from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from satclip.harmonics.tables import HarmonicTables
from satclip.harmonics.workspace import Workspace
from satclip.sphere import unit_vectors

try:
    import sphericart
except ImportError:
    sphericart = None

SPHERICART_POLYS = 64  # exact to 1e-13 up to here; at 100 it is wrong by more than 1 at (0, 0)
_BLOCK_NUMBERS = 2**19  # of a block: 2 MiB in float32, near a second-level cache, and worth waking threads for
_NUMPY_FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
_LOCK = Lock()  # a calculator has scratch memory of its own


def many_harmonics(lonlat: Tensor, tables: HarmonicTables, calculation: str, dtype: torch.dtype) -> Tensor:
    """As `evaluate_harmonics`, for places on the CPU and without a gradient: [N, 2] -> [N, L * L] in `dtype`."""
    with torch.no_grad():
        exact = len(tables.orders) <= SPHERICART_POLYS and dtype in _NUMPY_FLOATS and calculation != "closed-form"
        if sphericart is not None and exact:
            return by_sphericart(lonlat, len(tables.orders), calculation, dtype)
        return by_torch(lonlat, tables, dtype)


def by_torch(lonlat: Tensor, tables: HarmonicTables, dtype: torch.dtype) -> Tensor:
    """Evaluate the series block by block: [N, 2] -> [N, L * L] in `dtype`."""
    count = len(lonlat)
    features = _empty(len(tables.legendre_row), count, dtype)
    if count:
        longitude, latitude = torch.deg2rad(lonlat.detach().to(tables.series.dtype).T.contiguous())
        rows = min(_block_rows(len(tables.orders)), count)
        workspace = Workspace(tables, rows, dtype)
        for start in (*range(0, count - rows, rows), count - rows):  # the last block overlaps the one before it
            block = slice(start, start + rows)
            workspace.evaluate(longitude[block], latitude[block], features[:, block])
    return features.T


def by_sphericart(lonlat: Tensor, legendre_polys: int, calculation: str, dtype: torch.dtype) -> Tensor:
    """Let sphericart do it, "orthonormal" or "analytic": [N, 2] -> [N, L * L] in `dtype`."""
    antipodes = unit_vectors(lonlat.detach().double()).neg_()  # where degree l has (-1)^l times its value
    if dtype == torch.float64:
        return _sphericart_block(antipodes, legendre_polys, calculation)
    features, rows = _empty(len(lonlat), legendre_polys**2, dtype), _block_rows(legendre_polys)
    # Rounding to float32 makes subnormal numbers near the poles, where cos(latitude)^m is below 1e-38, and a matrix
    # product takes half as long again over them. 1e-20 more is far below rounding, and clears them.
    polar = antipodes[:, :2].norm(dim=1) ** (legendre_polys - 1) < 1e-30
    # numpy rounds, in this thread: torch's threads beside sphericart's would wait for each other on the same cores.
    for start in range(0, len(lonlat), rows):
        block = slice(start, start + rows)
        exact = _sphericart_block(antipodes[block], legendre_polys, calculation).numpy()
        exact[polar[block].numpy()] += 1e-20
        features[block].numpy()[:] = exact
    return features


def _empty(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """Allocate by way of numpy, which asks Linux for huge pages: first touching a page costs more than filling it."""
    if dtype not in _NUMPY_FLOATS:
        return torch.empty(rows, columns, dtype=dtype)
    return torch.from_numpy(np.empty((rows, columns), dtype=_NUMPY_FLOATS[dtype]))


def _block_rows(legendre_polys: int) -> int:
    return max(128, _BLOCK_NUMBERS // legendre_polys**2)


def _sphericart_block(vectors: Tensor, legendre_polys: int, calculation: str) -> Tensor:
    with _LOCK:
        features = torch.from_numpy(_calculator(legendre_polys).compute(vectors.numpy()))
    if calculation == "analytic":
        degree = torch.arange(legendre_polys)
        features[:, degree * (degree + 1)] *= torch.pi
    return features


@lru_cache(maxsize=16)
def _calculator(legendre_polys: int) -> "sphericart.SphericalHarmonics":
    return sphericart.SphericalHarmonics(legendre_polys - 1)
