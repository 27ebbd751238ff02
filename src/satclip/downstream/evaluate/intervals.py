"""Intervals by bootstrap over cells, crossed with draws and seeds.

Places in one cell are alike, so a bootstrap over places makes intervals that are far too narrow; whole cells are drawn
with replacement instead, the same ones for every draw and every encoder, beside them the draws and the training seeds.
What the intervals say is how far the score would move with another part of the world, other labels and another seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.holdouts import keyed
from satclip.downstream.evaluate.records import Record
from satclip.downstream.evaluate.scores import FLOOR

BOOTSTRAPS, COVERAGE = 1000, 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over draws and seeds, and where 95 % of its bootstrap lies.

    Attributes:
        value: the mean.
        low: 2.5 % of the bootstrap; NaN where there is one cell and one draw.
        high: 97.5 %.
        draws: averaged over.
        seeds: averaged over.
    """

    value: float
    low: float
    high: float
    draws: int
    seeds: int

    @property
    def clear(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low > 0 or self.high < 0


def score_interval(records: Sequence[Record], *, floor: float | None = FLOOR, count: int = BOOTSTRAPS) -> Interval:
    """The score of one family under one hold-out and label count, R2 floored draw by draw.

    Raises:
        ValueError: when the records are of several tasks, hold-outs or label counts, or there are none.
    """
    return _interval([(records, 1.0)], floor, count)


def difference_interval(
    records: Sequence[Record], rival: Sequence[Record], *, floor: float | None = FLOOR, count: int = BOOTSTRAPS
) -> Interval:
    """The paired difference to a rival: the same draws, the same cells, each side's seeds drawn by themselves.

    Raises:
        ValueError: as `score_interval`, and when the two were not tested under the same draws.
    """
    if {record.draw for record in records} != {record.draw for record in rival}:
        raise ValueError(
            f"{records[0].encoder} and {rival[0].encoder} were tested under different draws; run both anew"
        )
    return _interval([(records, 1.0), (rival, -1.0)], floor, count)


def _interval(sides: Sequence[tuple[Sequence[Record], float]], floor: float | None, count: int) -> Interval:
    everything = [record for records, _ in sides for record in records]
    kinds = {(record.task, record.holdout, record.asked) for record in everything}
    if len(kinds) != 1:
        raise ValueError(f"an interval is of one task, hold-out and label count, got {len(kinds)}: {sorted(kinds)[:3]}")
    draws = sorted({record.draw for record in everything})
    cells = np.unique(np.concatenate([record.by_cell.groups for record in everything]))
    cell_weights, draw_weights = _weights(*next(iter(kinds)), len(cells), len(draws), count)
    value, boots, seeds = 0.0, np.zeros(count), 1
    for records, sign in sides:
        names = sorted({record.encoder for record in records})
        seeds = max(seeds, len(names))
        seed_weights = _resampled(len(names), count, keyed("seeds", len(names), count))
        plain = np.full((len(draws), len(names)), np.nan)
        moved = np.full((count, len(draws), len(names)), np.nan)
        resampled = cell_weights @ np.column_stack([record.by_cell.among(cells) for record in records])
        for record, total in zip(records, np.split(resampled, len(records), axis=1), strict=True):
            at = draws.index(record.draw), names.index(record.encoder)
            if not np.isnan(plain[at]):
                raise ValueError(f"{record.encoder} has two records of draw {record.draw}; give one probe at a time")
            plain[at] = record.by_cell.score(floor=floor)[0]
            moved[:, at[0], at[1]] = record.by_cell.score_of(total, floor=floor)
        value += sign * float(np.nanmean(plain)) if not np.isnan(plain).all() else np.nan
        boots += sign * _weighted_mean(moved, draw_weights[:, :, None] * seed_weights[:, None, :])
    low, high = np.nanquantile(boots, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2]) if len(cells) > 1 else (np.nan, np.nan)
    return Interval(value, float(low), float(high), len(draws), seeds)


@lru_cache(maxsize=8)  # families of one column are compared one after the other: the same samples for each
def _weights(task: str, holdout: str, asked: str, cells: int, draws: int, count: int) -> tuple[Array, Array]:
    """How often each cell and each draw is in each sample: [B, cells], [B, draws]."""
    generator = keyed(task, holdout, asked, count)
    return _resampled(cells, count, generator), _resampled(draws, count, generator)


def _weighted_mean(values: Array, weights: Array) -> Array:
    """Over all but the first axis, leaving out NaN: [B, ...], [B, ...] -> [B], NaN where nothing is left."""
    known = ~np.isnan(values)
    axes = tuple(range(1, values.ndim))
    total = (weights * known).sum(axes)
    sums = (weights * np.where(known, values, 0)).sum(axes)
    mean: Array = np.divide(sums, total, out=np.full(len(values), np.nan), where=total > 0)
    return mean


def _resampled(size: int, count: int, generator: np.random.Generator) -> Array:
    """How often each of `size` things is drawn in `count` samples with replacement, [count, size]."""
    drawn = generator.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
    times: Array = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)
    return times
