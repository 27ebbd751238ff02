"""Memory for batches, used again as soon as nobody holds the batch that lay there.

To touch new memory for the first time takes as long as to fill it, and in shared memory several times as long.
"""

import math
import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

SPARE = 4  # pieces that wait in this process: of two batches, raw and finished
# Of a worker: two that it was asked for, two that Lightning holds, two that an iteration that was broken off has lost.
PIECES = 6
Batch = dict[str, Any]  # of tensors, and of what else is known of its samples
_spare: dict[int, NDArray[np.uint8]] = {}  # by identity, the one given back last at the end


def batch_memory(shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
    """A tensor of any content on the processor, in shared memory in the worker of a data loader."""
    count = math.prod(shape) * np.dtype(dtype).itemsize
    if get_worker_info() is not None:
        return torch.from_numpy(np.empty(0, dtype)).set_(_worker.take(count)).view(shape)
    memory = _take(count)
    view = memory.view(dtype).reshape(shape)  # held by the tensor, and by nothing else
    weakref.finalize(view, _give_back, memory).atexit = False
    return torch.from_numpy(view)


def _take(count: int) -> NDArray[np.uint8]:
    """A spare piece of so many bytes, or a new one."""
    for key in reversed(list(_spare)):
        memory = _spare.get(key)
        # Another thread, or the finalizer of another tensor, may have been quicker.
        if memory is not None and memory.nbytes == count and _spare.pop(key, None) is memory:
            return memory
    return np.empty(count, np.uint8)  # for which numpy asks for huge pages, as torch does not


def _give_back(memory: NDArray[np.uint8]) -> None:
    """Keep a piece, and let go what has waited longest."""
    _spare[id(memory)] = memory
    for key in list(_spare)[:-SPARE]:
        _spare.pop(key, None)


class _Worker:
    """The pieces of shared memory of a worker process. It marks one as busy when it takes it; `Returns` clears that."""

    def __init__(self) -> None:
        self.busy = torch.ones(PIECES, dtype=torch.bool)
        self.pieces: list[Any] = [None] * PIECES

    def take(self, count: int) -> Any:
        """A storage of so many bytes that nobody uses; one that will not be used again where all pieces are busy."""
        storage: Any = torch.UntypedStorage
        for number, piece in enumerate(self.pieces):
            if not self.busy[number]:
                self.busy[number] = True
                if piece is None or piece.nbytes() != count:
                    self.pieces[number] = storage._new_shared(count)
                return self.pieces[number]
        return storage._new_shared(count)

    def number(self, storage: Any) -> int | None:
        """Which piece this is; None for one that will not be used again."""
        for number, piece in enumerate(self.pieces):
            if piece is not None and piece.data_ptr() == storage.data_ptr():
                return number
        return None


_worker = _Worker()


class Returns:
    """Tells the workers of a loader which batches the training process has let go of.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        busy: Any = torch.zeros(workers * PIECES, dtype=torch.bool)
        self.busy: Tensor = busy.share_memory_()
        self._held: set[int] = set()

    def enter_worker(self, worker: int) -> None:
        """To be called in each worker at its start."""
        _worker.busy = self.busy[worker * PIECES : (worker + 1) * PIECES]

    def mark(self, batch: Batch) -> Batch:
        """In a worker: note in the batch where its images lie."""
        info = get_worker_info()
        number = None if info is None else _worker.number(batch["image"].untyped_storage())
        return batch if info is None or number is None else {**batch, "memory": info.id * PIECES + number}

    def watch(self, batch: Batch, *, copied: bool) -> Batch:
        """In the training process: the batch, whose memory is free as soon as nobody holds its images.

        `copied` says that they do not lie in shared memory any more.
        """
        if (place := batch.pop("memory", None)) is None:
            return batch
        if copied:
            self.busy[place] = False
            return batch
        view = batch["image"].numpy()  # held by the new tensor, and by nothing else
        self._held.add(place)
        weakref.finalize(view, self._release, place).atexit = False
        return {**batch, "image": torch.from_numpy(view)}

    def reclaim(self) -> None:
        """Free what an iteration that was broken off has left on its way; to be called before the next one."""
        for place in range(len(self.busy)):
            if place not in self._held:
                self.busy[place] = False

    def _release(self, place: int) -> None:
        self._held.discard(place)
        self.busy[place] = False
