"""The loop over pixels that decoding spends its time in, compiled by numba (`pip install satclip[fast]`).

It has a twin that needs no numba and gives the same bits: GDAL undoes the differences. It uses no threads of its own,
so it works in the forked workers of a data loader. It does not check bounds: shapes are the caller's to check.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.unsignedinteger]


def compiled(function: Callable[..., None]) -> Any:
    """Compile it at its first call, or take what an earlier process compiled."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # nowhere to keep it: neither this folder nor the home can be written
        return numba.njit(nogil=True)(function)


@compiled
def undo_differences(differences: Pixels, out: Pixels) -> None:
    """Sum along rows, [H, W] into [H, W], modulo the type's range: what TIFF calls predictor 2, backwards."""
    height, width = differences.shape
    for row in range(height):
        value = np.uint64(0)
        for column in range(width):
            value += differences[row, column]
            out[row, column] = value
