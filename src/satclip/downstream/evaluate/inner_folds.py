"""Folds of the training labels, of the same kind as the hold-out outside, by which everything is chosen."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.holdouts import Draw, folds_of_groups, keyed
from satclip.downstream.evaluate.sphere_index import within

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class InnerFolds:
    """Which of the n training rows are held out together, and which then teach.

    Attributes:
        fold: number of each row, -1 where it is never held out, int64 [n].
        teaches: bool [K, n]: whether a row teaches while fold k is held out.
        kind: "cells 10" and so on; "random" where the labels lie in one group only and nothing else is possible.
    """

    fold: Rows
    teaches: NDArray[np.bool_]
    kind: str

    def __iter__(self) -> Iterator[tuple[Rows, Rows]]:
        """Per fold (rows that teach, rows that are held out); folds that lack either are skipped."""
        for number, teaches in enumerate(self.teaches):
            train, held = np.flatnonzero(teaches), np.flatnonzero(self.fold == number)
            if len(train) >= 2 and len(held):
                yield train, held

    @property
    def complementary(self) -> bool:
        """Whether whatever is not held out teaches, so that sums over folds can be shared."""
        return bool((self.teaches == (self.fold[None] != np.arange(len(self.teaches))[:, None])).all())


def plain_folds(fold: Rows, kind: str = "given") -> InnerFolds:
    """Whatever is not held out teaches: fold numbers [n], from 0; -1 always teaches."""
    return InnerFolds(fold, fold[None] != np.arange(fold.max() + 1)[:, None], kind)


def inner_folds(draw: Draw, rows: Rows, lonlat: Array, *, folds: int, seed: int) -> InnerFolds:
    """Split the training rows of a draw as the draw itself was split.

    Args:
        draw: the hold-out outside.
        rows: the labels that are given, rows of the whole set [n].
        lonlat: of the whole set, degrees [N, 2].
        folds: at most so many.
        seed: of the deal.

    Raises:
        ValueError: when there are fewer than two labels.
    """
    if len(rows) < 2:
        raise ValueError(f"{draw.holdout}: choosing a penalty needs at least 2 labels, got {len(rows)}")
    groups, kind = draw.groups[rows], draw.holdout
    if len(np.unique(groups)) < 2:
        groups, kind = np.arange(len(rows)), "random"
    count = min(folds, len(np.unique(groups)))
    generator = keyed(seed, draw.holdout, "inner", draw.number, len(rows))
    fold = folds_of_groups(groups, count, generator)
    if draw.buffer_km is None:
        return plain_folds(fold, kind)
    # As outside: half of the places of the held-out cells are tested, and nothing near to those teaches.
    fold = np.where(generator.permutation(len(rows)) % 2 == 0, fold, -1)
    plain, places = plain_folds(fold, kind), lonlat[rows]
    if draw.buffer_km == 0:
        return plain
    far = np.stack([~within(places, places[fold == number], draw.buffer_km) for number in range(len(plain.teaches))])
    buffered = InnerFolds(fold, plain.teaches & far, kind)
    # Where every label is near to every other, the buffer cannot be kept inside.
    return buffered if any(True for _ in buffered) else InnerFolds(fold, plain.teaches, f"{kind}, no buffer inside")
