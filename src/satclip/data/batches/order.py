"""The order of an epoch: a pure function of the seed, the epoch and the sizes of the shards.

The batches of an epoch are *global*: they do not depend on the number of processes. A process takes its contiguous
part of each, so the parts put together in rank order are the global batch, sample by sample. Every process gets the
same number of batches, and nothing is ever decoded in order to be skipped.
"""

import logging
import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.utils.data import Sampler

from satclip.data.batches.loader import Plan
from satclip.data.batches.regional import regional_order
from satclip.hashing import shuffled

log = logging.getLogger(__name__)

SHARDS, SAMPLES = 1, 2  # keys that keep the two shuffles apart


def epoch_order(sizes: Sequence[int], *, seed: int, epoch: int, window: int) -> Tensor:
    """Positions in the concatenation of all shards, int64 [sum(sizes)]: a permutation.

    The shards are shuffled, then the samples within windows of `window` shards, so that no more than a window of
    shards need be at hand at a time.
    """
    shards = shuffled(len(sizes), seed, epoch, SHARDS).tolist()
    starts = torch.tensor([0, *sizes]).cumsum(0).tolist()
    windows = []
    for number, first in enumerate(range(0, len(shards), window)):
        inside = torch.cat([torch.arange(starts[shard], starts[shard + 1]) for shard in shards[first : first + window]])
        windows.append(inside[shuffled(len(inside), seed, epoch, SAMPLES, number)])
    return torch.cat(windows) if windows else torch.empty(0, dtype=torch.int64)


def part(count: int, parts: int, index: int) -> slice:
    """The `index`-th of `parts` contiguous slices of `count` things; sizes differ by at most one."""
    return slice(count * index // parts, count * (index + 1) // parts)


def check_batch_size(batch_size: int, samples: int, world_size: int) -> None:
    """Refuse a global batch that cannot be made.

    Raises:
        ValueError: it does not divide by the number of processes, or is larger than the data.
    """
    if batch_size % world_size:
        raise ValueError(
            f"dataset.batch_size={batch_size} is the batch over all {world_size} processes and must divide by "
            f"their number; nearest: {max(world_size, batch_size - batch_size % world_size)}"
        )
    if batch_size > samples:
        raise ValueError(
            f"dataset.batch_size={batch_size} is larger than the {samples} training samples; "
            f"give dataset.batch_size={2 ** int(math.log2(samples)) if samples else 1} or less, or more data"
        )


class TrainBatches(Sampler[list[int]]):
    """The rows of this process's part of every global batch of an epoch.

    What remains of an epoch when it is cut into batches (less than one batch) is left out; another order each epoch
    leaves out other samples.

    Args:
        rows: row numbers of the training samples, shard by shard.
        sizes: how many of them lie in each shard.
        batch_size: samples of a global batch, over all processes.
        window: shards whose samples are mixed.
        lonlat: places of the rows in degrees, [N, 2], where a share of each batch is to be of one region.
        regional: that share in percent; such batches heed no shards.
        start: the epoch to begin with, and the batch in it; later epochs begin at their first batch.
    """

    def __init__(
        self,
        rows: Tensor,
        sizes: Sequence[int],
        *,
        batch_size: int,
        seed: int,
        window: int = 16,
        rank: int = 0,
        world_size: int = 1,
        start: tuple[int, int] = (0, 0),
        lonlat: Tensor | None = None,
        regional: int = 0,
    ) -> None:
        check_batch_size(batch_size, len(rows), world_size)
        self.lonlat, self.regional = lonlat, regional
        self.rows, self.sizes, self.batch_size = rows, tuple(sizes), batch_size
        self.seed, self.window, self.rank, self.world_size = seed, window, rank, world_size
        self.start, self.epoch = start, start[0]

    def __len__(self) -> int:
        return len(self.rows) // self.batch_size

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration goes through; Lightning calls it."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.rows[self._positions()]
        mine = batches[:, part(self.batch_size, self.world_size, self.rank)]
        first = self.start[1] if self.epoch == self.start[0] else 0
        return iter(mine[first:].tolist())

    def _positions(self) -> Tensor:
        """Which of the rows make up each global batch of the epoch, [batches, batch_size]."""
        if self.regional and self.lonlat is not None:
            options = {"batch_size": self.batch_size, "percent": self.regional, "seed": self.seed, "epoch": self.epoch}
            return regional_order(self.lonlat, **options)
        order = epoch_order(self.sizes, seed=self.seed, epoch=self.epoch, window=self.window)
        return order[: len(self) * self.batch_size].view(len(self), self.batch_size)


class ValidationBatches(Sampler[list[int]]):
    """The rows of this process's part of every validation batch; each row belongs to exactly one process.

    The batches are as even as can be, none larger than `batch_size` but where fewer batches are needed to give every
    process at least one sample of each. A process's parts differ from another's by at most one sample.
    """

    def __init__(self, rows: Tensor, *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        if len(rows) < world_size:
            raise ValueError(
                f"{len(rows)} validation samples cannot be shared by {world_size} processes; "
                "raise dataset.val_fraction or use fewer devices"
            )
        self.rows, self.rank, self.world_size = rows, rank, world_size
        self.count = min(math.ceil(len(rows) / batch_size), len(rows) // world_size)

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[list[int]]:
        for index in range(self.count):
            batch = self.rows[part(len(self.rows), self.count, index)]
            yield batch[part(len(batch), self.world_size, self.rank)].tolist()


def sizes_of(rows: Tensor, shard_sizes: Sequence[int]) -> list[int]:
    """How many of `rows` (ascending) lie in each shard."""
    bounds = torch.tensor([0, *shard_sizes]).cumsum(0)
    counts: list[int] = torch.searchsorted(rows, bounds).diff().tolist()
    return counts


def train_batches(rows: Tensor, shard_sizes: Sequence[int], lonlat: Tensor, plan: Plan) -> TrainBatches:
    """Shuffled batches of training rows from `plan.start` on, and a line in the log about an epoch of them.

    Args:
        rows: that train, ascending.
        shard_sizes: rows of each shard, of all patches.
        lonlat: places of all patches, degrees [N, 2].
        plan: sizes, seed and start.
    """
    batches = TrainBatches(
        rows,
        sizes_of(rows, shard_sizes),
        batch_size=plan.batch_size,
        seed=plan.seed,
        window=plan.window,
        rank=plan.rank,
        world_size=plan.world_size,
        start=plan.start,
        lonlat=lonlat[rows],
        regional=plan.regional,
    )
    log.info(
        "an epoch is %d batches of %d samples over all processes; %d samples dropped, different ones each epoch",
        len(batches),
        plan.batch_size,
        len(rows) % plan.batch_size,
    )
    return batches


def validation_batches(rows: Tensor, plan: Plan) -> ValidationBatches:
    """Every validation row once over all processes, in a fixed order."""
    return ValidationBatches(rows, batch_size=plan.batch_size, rank=plan.rank, world_size=plan.world_size)
