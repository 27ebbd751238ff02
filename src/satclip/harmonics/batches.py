"""The harmonics of many places on a CPU, where no gradient is asked: in blocks that stay in the cache.

Where sphericart is installed (`pip install satclip[fast]`; Bigi et al. 2023, doi 10.1063/5.0156307) and the degree is
one at which it is exact, it does the work, in float64 whatever the result's type. Without it torch does, two to three
times slower, to the same 1e-13.
"""

from functools import lru_cache
from threading import Lock

import torch
from torch import Tensor

from satclip.harmonics.evaluate import evaluate_harmonics
from satclip.harmonics.tables import HarmonicTables
from satclip.sphere import unit_vectors

try:
    import sphericart
except ImportError:
    sphericart = None

SPHERICART_POLYS = 64  # exact to 1e-13 up to here; at 100 its float64 is wrong on the date line, by more than 1
_BLOCK_NUMBERS = 2**17  # float64 numbers of a block: 1 MiB, which the second-level cache of a core holds
_LOCK = Lock()  # a calculator has scratch memory of its own


def many_harmonics(lonlat: Tensor, tables: HarmonicTables, calculation: str, dtype: torch.dtype) -> Tensor:
    """As `evaluate_harmonics`, for places on the CPU and without a gradient: [N, 2] -> [N, L * L] in `dtype`."""
    count = len(tables.orders)
    rows = max(64, _BLOCK_NUMBERS // count**2)
    with torch.no_grad():
        if sphericart is not None and count <= SPHERICART_POLYS and calculation != "closed-form":
            return _by_sphericart(lonlat, count, calculation, dtype, rows)
        features = lonlat.new_empty(count**2, len(lonlat), dtype=dtype).T
        for part, block in zip(torch.split(lonlat, rows), torch.split(features, rows), strict=True):
            block.copy_(evaluate_harmonics(part, tables, dtype))
        return features


def _by_sphericart(lonlat: Tensor, count: int, calculation: str, dtype: torch.dtype, rows: int) -> Tensor:
    antipodes = unit_vectors(lonlat.detach().double()).neg_()  # where degree l has (-1)^l times its value
    if dtype == torch.float64:
        return _block(antipodes, count, calculation)
    features = lonlat.new_empty(len(lonlat), count**2, dtype=dtype)
    for part, block in zip(torch.split(antipodes, rows), torch.split(features, rows), strict=True):
        block.copy_(_block(part, count, calculation))
    return features


def _block(vectors: Tensor, count: int, calculation: str) -> Tensor:
    with _LOCK:
        features = torch.from_numpy(_calculator(count).compute(vectors.numpy()))
    if calculation == "analytic":
        degree = torch.arange(count)
        features[:, degree * (degree + 1)] *= torch.pi
    return features


@lru_cache(maxsize=16)
def _calculator(count: int) -> "sphericart.SphericalHarmonics":
    return sphericart.SphericalHarmonics(count - 1)
