"""The harmonics as one loop over places, compiled by numba for the processor it runs on (`pip install satclip[fast]`).

Nothing in the package imports this module before there is something to compute: numba takes half a second to import,
and two seconds to compile this, once for a machine (it keeps the result beside this file, or in NUMBA_CACHE_DIR).
"""

import math
from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from numba import prange

from satclip.harmonics.tables import recurrence_factors, scales

_LARGEST_TILE, _SMALLEST_TILE = 512, 128  # places: enough to fill a line of pages, few enough to stay in the cache
_FAINT = 1e-20
_LINE, _PAGE = 64, 4096  # bytes
_FEW_NUMBERS = (
    2**17
)  # of a result: waking threads takes as long as computing so many, or milliseconds on a busy machine

Array = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]


def compute(degrees: Floats, legendre_polys: int, calculation: str, dtype: npt.DTypeLike, threads: int) -> Array:
    """Harmonics of longitudes and latitudes in degrees: [N, 2] -> [L * L, N] in `dtype`, float32 or float64.

    The recurrence runs in float64 whatever `dtype` is. Not to be called from two threads at once.
    """
    count, rows = len(degrees), legendre_polys**2
    share = _LINE * -(-count // (_LINE * threads))  # of a thread, in whole lines: two threads never write to one
    tile = min(max(share, _SMALLEST_TILE), _LARGEST_TILE)
    flat, stride = _aligned(rows, count, np.dtype(dtype))
    # Near a pole cos(latitude)^m leaves the range of float32, and whatever is done to the subnormal numbers below it
    # takes many times as long. 1e-20 more is far below rounding, and there are none.
    faint = _FAINT if flat.dtype == np.float32 else 0.0
    work = (degrees, *_constants(legendre_polys, calculation), tile, faint, flat, stride)
    if threads == 1 or count <= tile or flat.size <= _FEW_NUMBERS:
        _fill_alone(*work)
    else:
        numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))
        _touch(flat, _PAGE // flat.itemsize)
        _fill(*work)
    return flat.reshape(rows, stride)[:, :count]


def _aligned(rows: int, columns: int, dtype: np.dtype[Any]) -> tuple[Array, int]:
    """Allocate rows that begin on a cache line, an odd number of lines apart: a power of two would share one set.

    By way of numpy, which asks Linux for huge pages.
    """
    line = _LINE // dtype.itemsize
    stride = columns if columns < line else line * (-(-columns // line) | 1)
    memory = np.empty(rows * stride + line, dtype=dtype)
    skipped = -memory.ctypes.data % _LINE // dtype.itemsize
    return memory[skipped : skipped + rows * stride], stride


@lru_cache(maxsize=16)
def _constants(legendre_polys: int, calculation: str) -> tuple[Floats, Floats, Floats, Floats]:
    """The factors of the recurrence, and what multiplies each (l, m) in the end."""
    sectoral, growth, decay = (factor.astype(np.float64) for factor in recurrence_factors(legendre_polys))
    return sectoral, growth, decay, scales(legendre_polys, calculation)


@numba.njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def _touch(flat: Array, step: int) -> None:
    """Write once to every page, in order: new memory comes twice as fast that way as row by row of a tile."""
    for page in prange((len(flat) + step - 1) // step):
        flat[page * step] = 0


@numba.njit(cache=True, nogil=True, fastmath={"contract", "nsz"})  # type: ignore[untyped-decorator]
def _fill_tile(
    degrees: Floats,
    sectoral: Floats,
    growth: Floats,
    decay: Floats,
    scale: Floats,
    start: int,
    size: int,
    faint: float,
    flat: Array,
    stride: int,
) -> None:
    """Every inner loop runs over the places of a tile, which is what a processor's vectors want."""
    polys = len(sectoral)
    sine, cosine, east, north = np.empty((4, size))  # of latitude; of longitude
    wave_sine, wave_cosine, edge, here, below = np.empty((5, size))
    for i in range(size):
        longitude, latitude = math.radians(degrees[start + i, 0]), math.radians(degrees[start + i, 1])
        sine[i], cosine[i] = math.sin(latitude), math.cos(latitude)
        east[i], north[i] = math.sin(longitude), math.cos(longitude)
        wave_sine[i], wave_cosine[i], edge[i] = 0.0, 1.0, sectoral[0]
    for m in range(polys):
        if m > 0:
            for i in range(size):
                turned = wave_cosine[i] * north[i] - wave_sine[i] * east[i]
                wave_sine[i] = wave_sine[i] * north[i] + wave_cosine[i] * east[i]
                wave_cosine[i] = turned
                edge[i] *= sectoral[m] * cosine[i]
        for i in range(size):
            here[i], below[i] = edge[i], 0.0
        for degree in range(m, polys):
            if degree > m:
                up, down = growth[degree, m], decay[degree, m]
                for i in range(size):
                    value = up * sine[i] * here[i] - down * below[i]
                    below[i] = here[i]
                    here[i] = value
            factor, centre = scale[degree, m], degree * degree + degree
            first = (centre + m) * stride + start
            row = flat[first : first + size]
            for i in range(size):
                row[i] = factor * here[i] * wave_cosine[i] + faint
            if m > 0:
                first = (centre - m) * stride + start
                row = flat[first : first + size]
                for i in range(size):
                    row[i] = factor * here[i] * wave_sine[i] + faint


@numba.njit(cache=True, parallel=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(
    degrees: Floats,
    sectoral: Floats,
    growth: Floats,
    decay: Floats,
    scale: Floats,
    tile: int,
    faint: float,
    flat: Array,
    stride: int,
) -> None:
    """Tile by tile, as many at a time as there are threads."""
    for number in prange((len(degrees) + tile - 1) // tile):
        start = number * tile
        size = min(tile, len(degrees) - start)
        _fill_tile(degrees, sectoral, growth, decay, scale, start, size, faint, flat, stride)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_alone(
    degrees: Floats,
    sectoral: Floats,
    growth: Floats,
    decay: Floats,
    scale: Floats,
    tile: int,
    faint: float,
    flat: Array,
    stride: int,
) -> None:
    """Tile by tile in the caller's own thread."""
    for start in range(0, len(degrees), tile):
        size = min(tile, len(degrees) - start)
        _fill_tile(degrees, sectoral, growth, decay, scale, start, size, faint, flat, stride)
