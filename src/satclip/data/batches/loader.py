"""A DataLoader whose samples are whole batches."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from satclip.data.batches.batch import RawBatch
from satclip.data.batches.batch_memory import SharedBuffers


@dataclass(frozen=True)
class Plan:
    """How batches are made.

    Attributes:
        batch_size: samples of a batch over all processes.
        seed: what the order follows from, beside the data.
        window: shards whose samples are mixed with each other.
        workers: processes that decode.
        rank, world_size: which training process of how many this is.
        start: epoch, and batch in it, to begin with.
        regional: percent of each training batch that lies in one region, see `satclip.data.batches.regional`.
    """

    batch_size: int
    seed: int
    window: int
    workers: int
    rank: int = 0
    world_size: int = 1
    start: tuple[int, int] = (0, 0)
    regional: int = 0


def check_at_least(least: int, **options: int) -> None:
    """Refuse options of `dataset` below a bound.

    Raises:
        ValueError: one of them is.
    """
    for name, value in options.items():
        if value < least:
            raise ValueError(f"dataset.{name} must be {least} at least, got {value}")


class Loader(DataLoader[RawBatch]):
    """Asks the dataset for one batch after another, each by the row numbers that `batches` gives.

    To Lightning it is a loader that can resume: `batches` was made to begin where the datamodule says.

    Args:
        dataset: makes a batch from a list of row numbers, or a stream of batches.
        batches: row numbers of each batch; None for a stream.
        workers: processes that make batches; 0 for this one.
    """

    def __init__(self, dataset: Dataset[RawBatch], batches: Sampler[list[int]] | None, workers: int) -> None:
        self.returns = SharedBuffers(workers)
        mark: Any = self.returns.mark  # a batch, where DataLoader would have a list of samples
        super().__init__(
            dataset,
            sampler=batches,
            batch_size=None,
            collate_fn=mark,
            num_workers=workers,
            worker_init_fn=self.returns.enter_worker,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def __iter__(self) -> Any:
        """One batch after another, in buffers that are reused once a batch is released."""
        self.returns.reclaim()
        return map(partial(self.returns.watch, copied=self.pin_memory), super().__iter__())

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the datamodule keeps the position to resume from."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to do."""
