"""Memory for batches: to touch new memory for the first time takes as long as to fill it, in shared memory longer."""

import math
import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

PIECES = 4  # that are kept for later: of two batches, raw and finished
_spare: dict[int, NDArray[np.uint8]] = {}  # by identity, the one given back last at the end


def batch_memory(shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
    """A tensor of any content on the processor.

    In the worker of a data loader it lies in shared memory, through which a worker hands its batches over. Elsewhere it
    lies where an earlier tensor of that size lay, as soon as nobody holds that one, nor anything cut out of it.
    """
    count = math.prod(shape) * np.dtype(dtype).itemsize
    if get_worker_info() is not None:
        storage: Any = torch.UntypedStorage
        return torch.from_numpy(np.empty(0, dtype)).set_(storage._new_shared(count)).view(shape)
    memory = _take(count)
    view = memory.view(dtype).reshape(shape)  # held by the tensor, and by nothing else
    weakref.finalize(view, _give_back, memory).atexit = False
    return torch.from_numpy(view)


def _take(count: int) -> NDArray[np.uint8]:
    """A spare piece of so many bytes, or a new one."""
    for key in reversed(list(_spare)):
        memory = _spare.get(key)
        # Another thread, or the finalizer of another tensor, may have been quicker.
        if memory is not None and memory.nbytes == count and _spare.pop(key, None) is not None:
            return memory
    return np.empty(count, np.uint8)  # for which numpy asks for huge pages, as torch does not


def _give_back(memory: NDArray[np.uint8]) -> None:
    """Keep a piece, and let go what has waited longest."""
    _spare[id(memory)] = memory
    for key in list(_spare)[:-PIECES]:
        _spare.pop(key, None)
