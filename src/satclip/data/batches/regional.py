"""Batches whose places lie together: neighbours are the hardest negatives that there are.

The places of an epoch are cut in two along the axis in which they are spread most, at a multiple of the batch size,
and each part again, until one batch is left: regions of equally many places, as a k-d tree has them (Bentley 1975,
Communications of the ACM 18(9)). The axes are turned anew for each epoch, so that no border stays where it is.
"""

import torch
from torch import Tensor

from satclip.hashing import shuffled, uniform
from satclip.sphere import unit_vectors

SHARES = {"random": 0, "mixed": 50, "regional": 100}  # of a batch, in percent, that come from one region
ALL_AT_ONCE = (
    "dataset.batching=regional and mixed draw a batch from all shards at once, and these lie elsewhere; fetch them "
    "first (dataset.root), keep them in memory (dataset.keep_in_memory=true), or give dataset.batching=random"
)
KEPT, AXES, ORDER, MIXED = 3, 4, 5, 6  # keys that keep the draws of an epoch apart


def check_batching(batching: str) -> int:
    """The share of a batch in percent that is of one region.

    Raises:
        ValueError: there is no such batching.
    """
    if batching not in SHARES:
        raise ValueError(f"dataset.batching must be one of {', '.join(SHARES)}, got {batching!r}")
    return SHARES[batching]


def regional_order(lonlat: Tensor, *, batch_size: int, percent: int, seed: int, epoch: int) -> Tensor:
    """Positions of the places of every batch of an epoch, int64 [batches, batch_size]; no place comes twice.

    Less than one batch is left out, other places each epoch. Within a batch the order is random, so that its parts for
    several processes are alike.

    Args:
        lonlat: degrees, [N, 2].
        batch_size: of a global batch.
        percent: how much of a batch is of one region; the rest is drawn from everywhere.
        seed, epoch: what the order follows from, beside the places.
    """
    count = len(lonlat) // batch_size
    kept = shuffled(len(lonlat), seed, epoch, KEPT)[: count * batch_size]
    near = batch_size * percent // 100 if count else 0
    together, anywhere = kept[: count * near], kept[count * near :].view(count, batch_size - near)
    points = unit_vectors(lonlat[together].to(torch.float64)) if near else lonlat.new_zeros(0, 3)
    turned = _turned(points, seed, epoch)
    regions = [together[part] for part in _cut(turned, torch.arange(len(together)), near)] if near else []
    regions = [regions[number] for number in shuffled(len(regions), seed, epoch, ORDER).tolist()]
    batches = torch.cat((torch.stack(regions), anywhere), 1) if near else anywhere
    mixed = [batch[shuffled(batch_size, seed, epoch, MIXED, number)] for number, batch in enumerate(batches)]
    return torch.stack(mixed) if mixed else batches


def _cut(points: Tensor, rows: Tensor, size: int) -> list[Tensor]:
    """Rows in groups of `size` whose points lie together."""
    if len(rows) == size:
        return [rows]
    mine = points[rows]
    axis = int((mine.amax(0) - mine.amin(0)).argmax())
    sorted_rows = rows[mine[:, axis].argsort(stable=True)]
    middle = len(rows) // size // 2 * size
    return _cut(points, sorted_rows[:middle], size) + _cut(points, sorted_rows[middle:], size)


def _turned(points: Tensor, seed: int, epoch: int) -> Tensor:
    """Points on axes that are drawn for the epoch, [N, 3].

    By sums of products, one by one: a matrix product may round otherwise on another number of threads.
    """
    draws = 2 * uniform(seed, epoch, AXES, torch.arange(9)).to(torch.float64).view(3, 3) - 1
    axes, _ = torch.linalg.qr(draws)
    x, y, z = points.unbind(1)
    return torch.stack([x * axis[0] + y * axis[1] + z * axis[2] for axis in axes.T], 1)
