"""Batch buffers that are reused as soon as the batch in them is released.

The first touch of new memory takes as long as filling it, in shared memory several times as long. Shared memory may be
small: a container has 64 MB by default, and a process that writes beyond is killed (SIGBUS). A worker allocates a
shared buffer only where there is room for every other process that may be about to write; otherwise the batch goes
through a pipe.

    worker    _Worker.take: busy[i] = True    ->  batch in buffer i, SharedBuffers.mark adds "memory": i
    trainer   SharedBuffers.watch(batch)      ->  finalizer on its images
    trainer   images released, or copied      ->  busy[i] = False: the worker may reuse buffer i
    trainer   iteration ended early           ->  SharedBuffers.reclaim frees what is not held
"""

import logging
import math
import os
import weakref
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from satclip import ranks

SPARE = 4  # spare buffers of this process: of two batches, raw and finished
# Of a worker: two prefetched, two held by Lightning, two lost by an iteration that ended early.
PIECES = 6
SHARED = "/dev/shm"  # where Linux keeps shared memory
log = logging.getLogger(__name__)
Carried = dict[str, Any]  # a `RawBatch` between processes: tensors, or arrays where it goes through a pipe
_spare: dict[int, NDArray[np.uint8]] = {}  # by identity, the one given back last at the end


def batch_memory(shape: tuple[int, ...], dtype: DTypeLike) -> Tensor:
    """A tensor of any content on the processor, in shared memory in the worker of a data loader."""
    count = math.prod(shape) * np.dtype(dtype).itemsize
    if get_worker_info() is not None and (storage := _worker.take(count)) is not None:
        return torch.from_numpy(np.empty(0, dtype)).set_(storage).view(shape)
    memory = _take(count)
    view = memory.view(dtype).reshape(shape)  # held by the tensor, and by nothing else
    weakref.finalize(view, _give_back, memory).atexit = False
    return torch.from_numpy(view)


def _take(count: int) -> NDArray[np.uint8]:
    """A spare buffer of so many bytes, or a new one."""
    for key in reversed(list(_spare)):
        memory = _spare.get(key)
        # Another thread, or the finalizer of another tensor, may have been quicker.
        if memory is not None and memory.nbytes == count and _spare.pop(key, None) is memory:
            return memory
    return np.empty(count, np.uint8)  # for which numpy asks for huge pages, as torch does not


def _give_back(memory: NDArray[np.uint8]) -> None:
    """Keep a buffer as spare, and free the oldest beyond `SPARE`."""
    _spare[id(memory)] = memory
    for key in list(_spare)[:-SPARE]:
        _spare.pop(key, None)


class _Worker:
    """The shared buffers of a worker process. It marks one as busy; `SharedBuffers` clears the mark."""

    def __init__(self) -> None:
        self.busy = torch.ones(PIECES, dtype=torch.bool)
        self.pieces: list[Any] = [None] * PIECES
        self.crowd = 1  # processes that may be about to write

    def take(self, count: int) -> Any:
        """A free storage of so many bytes; one that is not reused where all buffers are busy.

        None where shared memory has no room for it.
        """
        storage: Any = torch.UntypedStorage
        free = [number for number in range(PIECES) if not self.busy[number]]
        fits = [number for number in free if self.pieces[number] is not None and self.pieces[number].nbytes() == count]
        if not fits and shared_room() < count * self.crowd:
            return None
        if not free:
            return storage._new_shared(count)
        number = (fits or free)[0]
        self.busy[number] = True
        if not fits:
            self.pieces[number] = storage._new_shared(count)
        return self.pieces[number]

    def number(self, storage: Any) -> int | None:
        """The number of a buffer; None for one that is not reused."""
        for number, piece in enumerate(self.pieces):
            if piece is not None and piece.data_ptr() == storage.data_ptr():
                return number
        return None


_worker = _Worker()


def shared_room() -> float:
    """Bytes of shared memory that are free; infinite where it is not a file system of its own."""
    try:
        found = os.statvfs(SHARED)
    except OSError:
        return math.inf
    return found.f_bavail * found.f_frsize


class SharedBuffers:
    """Tells the workers of a loader which buffers the training process has released.

    Args:
        workers: how many there are.
    """

    def __init__(self, workers: int) -> None:
        busy: Any = torch.zeros(workers * PIECES, dtype=torch.bool)
        self.busy: Tensor = busy.share_memory_()
        self._held: set[int] = set()
        self._workers, self._told = workers, False
        # One loader for training and one for validation, in each of the training processes of this machine.
        self._crowd = 2 * max(1, workers) * int(os.environ.get("LOCAL_WORLD_SIZE", ranks.world_size()))

    def enter_worker(self, worker: int) -> None:
        """To be called in each worker at its start."""
        _worker.crowd = self._crowd
        _worker.busy = self.busy[worker * PIECES : (worker + 1) * PIECES]

    def mark(self, batch: Carried) -> Carried:
        """In a worker: add the number of the buffer that holds the images."""
        info = get_worker_info()
        if info is None:
            return batch
        if (
            not batch["image"].untyped_storage().is_shared()
        ):  # as arrays, which go through a pipe: torch would share them
            return {name: value.numpy() if isinstance(value, Tensor) else value for name, value in batch.items()}
        number = _worker.number(batch["image"].untyped_storage())
        return batch if number is None else {**batch, "memory": info.id * PIECES + number}

    def watch(self, batch: Carried, *, copied: bool) -> Carried:
        """In the training process: the batch, whose buffer is free as soon as its images are released.

        `copied` says that they do not lie in shared memory any more.
        """
        if isinstance(batch["image"], np.ndarray):
            self._tell(batch["image"].nbytes)
            return {
                name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
                for name, value in batch.items()
            }
        if (place := batch.pop("memory", None)) is None:
            return batch
        if copied:
            self.busy[place] = False
            return batch
        view = batch["image"].numpy()  # held by the new tensor, and by nothing else
        self._held.add(place)
        weakref.finalize(view, self._release, place).atexit = False
        return {**batch, "image": torch.from_numpy(view)}

    def _tell(self, size: int) -> None:
        """Say once that shared memory is too small, and how large it should be."""
        if not self._told:
            needed = size * (self._workers * PIECES + self._crowd)
            log.warning(
                "shared memory (%s) has %.0f MB free; %d workers with batches of %.1f MB want %.0f MB: some batches go "
                "through a pipe, which is slower; start the container with --shm-size=%dm, or give fewer "
                "dataset.num_workers",
                SHARED, shared_room() / 1e6, self._workers, size / 1e6, needed / 1e6, math.ceil(needed / 1e6),
            )  # fmt: skip
        self._told = True

    def reclaim(self) -> None:
        """Free the buffers that an iteration left in flight when it ended early; call it before the next one."""
        for place in range(len(self.busy)):
            if place not in self._held:
                self.busy[place] = False

    def _release(self, place: int) -> None:
        self._held.discard(place)
        self.busy[place] = False
