"""A symmetric matrix brought to three diagonals, from which any shift of it is solved in a few operations a row.

(Q T Q' + alpha I)^-1 = Q (T + alpha I)^-1 Q', so one reduction serves every penalty, and costs a third of the
eigendecomposition that would serve as well. LAPACK is called through the pointers that SciPy exports, because those
calls let go of Python's lock: `scipy.linalg.lapack` holds it, and two threads would wait for each other.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.evaluate.extra import from_extra

Array = NDArray[np.float64]
BLOCK = 64  # rows that LAPACK reduces at a time, times which its workspace is as long as the matrix is wide


@dataclass(frozen=True)
class Tridiagonal:
    """Q T Q', n rows.

    Attributes:
        diagonal: of T, [n].
        beside: of T, next to the diagonal, [n - 1].
        reflectors: Q as LAPACK's dsytrd leaves it, [n, n] in columns.
        factors: of the reflectors, [n - 1].
    """

    diagonal: Array
    beside: Array
    reflectors: Array
    factors: Array

    @classmethod
    def of(cls, matrix: Array) -> "Tridiagonal":
        """Of a symmetric matrix [n, n].

        Raises:
            ModuleNotFoundError: without scipy; ends with what to install.
        """
        n = len(matrix)
        reflectors = np.array(matrix, dtype=np.float64, order="F")
        diagonal, beside, factors = np.empty(n), np.empty(max(n - 1, 1)), np.empty(max(n - 1, 1))
        work = np.empty(max(1, BLOCK * n))
        _lapack("dsytrd", b"L", n, reflectors, n, diagonal, beside, factors, work, len(work))
        return cls(diagonal, beside[: n - 1], reflectors, factors)

    def turned(self, columns: Array, *, back: bool = False) -> Array:
        """Q times columns [n, K], or Q' times them with `back`."""
        n, found = len(self.diagonal), np.array(columns, dtype=np.float64, order="F")
        work = np.empty(max(1, BLOCK * found.shape[1]))
        way = b"T" if back else b"N"
        size = (b"L", b"L", way, n, found.shape[1])
        _lapack("dormtr", *size, self.reflectors, n, self.factors, found, n, work, len(work))
        return found

    def solved(self, shifts: Array, columns: Array) -> Array:
        """(T + shift I)^-1 times columns [n, K], for each of A shifts: [A, K, n].

        T may have eigenvalues that rounding has made a little negative; where that outweighs the shift they count as 0.
        """
        n, width = columns.shape
        found = np.empty((len(shifts), width, n))
        for number, shift in enumerate(shifts):
            diagonal, beside, right = self.diagonal + shift, self.beside.copy(), np.array(columns, order="F")
            if _lapack("dptsv", n, width, diagonal, beside, right, n):
                values, axes = from_extra("scipy.linalg").eigh_tridiagonal(self.diagonal, self.beside)
                right = axes @ ((axes.T @ columns) / (np.maximum(values, 0) + shift)[:, None])
            found[number] = right.T
        return found


def _lapack(name: str, *arguments: bytes | int | Array) -> int:
    """Call a routine of LAPACK, everything by reference; its `info`, 0 where all went well.

    Raises:
        ValueError: an argument is not one.
    """
    info = ctypes.c_int(0)
    numbers = [ctypes.c_int(each) if isinstance(each, int) else None for each in arguments]  # alive during the call
    pointers: list[bytes | int] = []
    for each, number in zip(arguments, numbers, strict=True):
        if number is not None:
            pointers.append(ctypes.addressof(number))
        elif isinstance(each, bytes):
            pointers.append(each)
        elif isinstance(each, np.ndarray):
            pointers.append(each.ctypes.data)
    _routine(name)(*pointers, ctypes.addressof(info))
    if info.value < 0:
        raise ValueError(f"{name}: argument {-info.value} is none; please report it")
    return info.value


@lru_cache(maxsize=8)
def _routine(name: str) -> Callable[..., None]:
    """The routine with all of its arguments as pointers; a character goes as bytes."""
    exported = from_extra("scipy.linalg.cython_lapack").__pyx_capi__[name]
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = ctypes.c_char_p, [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = api.PyCapsule_GetName(exported)
    address = api.PyCapsule_GetPointer(exported, signature)
    kinds = [ctypes.c_char_p if b"char" in each else ctypes.c_void_p for each in signature.split(b"(")[1].split(b",")]
    return ctypes.CFUNCTYPE(None, *kinds)(address)
