"""The harmonics of many places on a CPU, where no gradient is asked, by the fastest way that is installed.

`pip install satclip[fast]` brings two. numba compiles a loop of ours (kernel.py), for float32 at every
degree, for float64 up to L = 40. sphericart (Bigi et al. 2023, doi 10.1063/5.0156307), up to L = 64, writes place after
place, which is faster where the result is too large for memory that is used again. Else torch does it, slower and exact
at every degree. Whoever does it, float64 is within 1e-12.
"""

import os
from functools import lru_cache
from threading import Lock
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from satclip.harmonics.tables import HarmonicTables
from satclip.harmonics.workspace import Workspace
from satclip.optional_import import optional
from satclip.sphere import unit_vectors

try:
    import sphericart
except ImportError:
    sphericart = None

SPHERICART_POLYS = 64  # exact to 1e-13 up to here; at 100 it is wrong by more than 1 at (0, 0)
_RECURRENCE_POLYS = 40  # 5e-13 up to here; at 100 a recurrence in sin(latitude) is wrong by 4e-12 near the poles
_LARGE_BYTES = 2**25  # from here on glibc asks the kernel for new pages, whatever was freed before
_BLOCK_NUMBERS = 2**21  # of a block: worth waking threads for, cheap to hold
_NUMPY_FLOATS = {torch.float32: np.float32, torch.float64: np.float64}
_LOCK = Lock()  # neither library may be entered twice at once
# All use OpenMP, torch too, and in the fork of a process that has used it OpenMP hangs or aborts: its threads are gone.
_PROCESS = os.getpid()
_single = [_PROCESS]  # the fork that was told last


def many_harmonics(lonlat: Tensor, tables: HarmonicTables, calculation: str, dtype: torch.dtype) -> Tensor:
    """As `evaluate_harmonics`, for places on the CPU and without a gradient: [N, 2] -> [N, L * L] in `dtype`."""
    polys = len(tables.orders)
    one_thread_after_a_fork()
    if os.getpid() == _PROCESS and dtype in _NUMPY_FLOATS and len(lonlat):
        suits_sphericart = dtype == torch.float64 and polys <= SPHERICART_POLYS and calculation != "closed-form"
        suits_numba = dtype == torch.float32 or polys <= _RECURRENCE_POLYS
        large = len(lonlat) * polys**2 * dtype.itemsize >= _LARGE_BYTES
        if sphericart is not None and suits_sphericart and (large or not suits_numba or kernel() is None):
            return by_sphericart(lonlat, polys, calculation)
        if suits_numba and kernel() is not None:
            return by_numba(lonlat, polys, calculation, dtype)
    return by_torch(lonlat, tables, dtype)


def one_thread_after_a_fork() -> None:
    """Keep torch to one thread in a fork of the process that loaded this package, as torch's data loader does."""
    if os.getpid() not in (_PROCESS, _single[0]):
        torch.set_num_threads(1)
        _single[0] = os.getpid()


def kernel() -> ModuleType | None:
    """Import the compiled loop, when there is something to compute; None without a numba that works here."""
    return optional("satclip.harmonics.kernel")


def by_numba(lonlat: Tensor, legendre_polys: int, calculation: str, dtype: torch.dtype) -> Tensor:
    """Run the compiled loop: [N, 2] -> [N, L * L] in `dtype`, float32 or float64."""
    degrees, compiled = lonlat.detach().double().contiguous().numpy(), kernel()
    assert compiled is not None
    threads = torch.get_num_threads()
    with _LOCK:
        features = compiled.compute(degrees, legendre_polys, calculation, _NUMPY_FLOATS[dtype], threads)
    if torch.get_num_threads() != threads:  # numba sets OpenMP's thread count, which torch shares
        torch.set_num_threads(threads)
    return torch.from_numpy(features).T


@torch.no_grad()
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


@torch.no_grad()
def by_sphericart(lonlat: Tensor, legendre_polys: int, calculation: str) -> Tensor:
    """Let sphericart do it, "orthonormal" or "analytic": [N, 2] -> float64 [N, L * L]."""
    antipodes = unit_vectors(lonlat.detach().double()).neg_()  # where degree l has (-1)^l times its value
    with _LOCK:
        features = torch.from_numpy(_calculator(legendre_polys).compute(antipodes.numpy()))
    if calculation == "analytic":
        degree = torch.arange(legendre_polys, device=features.device)
        features[:, degree * (degree + 1)] *= torch.pi
    return features


def _empty(rows: int, columns: int, dtype: torch.dtype) -> Tensor:
    """Allocate by way of numpy, which asks Linux for huge pages: first touching a page costs more than filling it."""
    if dtype not in _NUMPY_FLOATS:
        return torch.empty(rows, columns, dtype=dtype, device="cpu")
    return torch.from_numpy(np.empty((rows, columns), dtype=_NUMPY_FLOATS[dtype]))


def _block_rows(legendre_polys: int) -> int:
    return max(128, _BLOCK_NUMBERS // legendre_polys**2)


@lru_cache(maxsize=16)
def _calculator(legendre_polys: int) -> "sphericart.SphericalHarmonics":
    return sphericart.SphericalHarmonics(legendre_polys - 1)
