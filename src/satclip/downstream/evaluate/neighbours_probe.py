"""kNN in the embedding: the number of neighbours, the scaling and the features are chosen by the inner folds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.answers import Answer, Candidate, Choice, Goal
from satclip.downstream.evaluate.extra import from_extra
from satclip.downstream.evaluate.inner_folds import InnerFolds
from satclip.downstream.evaluate.ridge import Moments

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class NeighboursProbe:
    """The mean label, or the vote, of the nearest places by Euclidean distance; the nearer decides a draw.

    CoordBench's kNN-5 is `counts=(5,), scalings=("z-score",)`.
    """

    counts: tuple[int, ...] = (1, 3, 5, 10, 20)
    scalings: tuple[str, ...] = ("raw", "z-score")
    name: str = "knn"

    def answers(
        self, candidates: Sequence[Candidate], goals: Sequence[Goal], train: Rows, test: Rows, inner: InnerFolds
    ) -> list[Answer]:
        """As `RidgeProbe.answers`.

        Raises:
            ValueError: when no inner fold has places both to learn from and to test.
            ModuleNotFoundError: without scikit-learn; ends with what to install.
        """
        best: list[Answer | None] = [None] * len(goals)
        for candidate in candidates:
            for scaling in self.scalings:
                x, new = _scaled(candidate, scaling, train, test)
                losses = np.zeros((len(goals), len(self.counts)))
                held_rows: list[Rows] = []
                for teach, held in inner:
                    found = _nearest(x[teach], x[held], max(self.counts))
                    held_rows.append(train[held])
                    for number, goal in enumerate(goals):
                        losses[number] += goal.losses(self._means(goal.columns[train[teach]], found), train[held])
                if not held_rows:
                    raise ValueError("no inner fold has places both to learn from and to test; give it more labels")
                found = _nearest(x, new, max(self.counts))
                for number, goal in enumerate(goals):
                    at = int(losses[number].argmin())
                    score = goal.score(float(losses[number, at]), train, np.concatenate(held_rows))
                    before = best[number]
                    if before is not None and before.choice.inner_score >= score:
                        continue
                    edge = len(self.counts) > 1 and at in (0, len(self.counts) - 1)
                    choice = Choice(score, candidate.name, float(self.counts[at]), scaling, np.nan, edge)
                    means = self._means(goal.columns[train], found)[at]
                    best[number] = Answer(means[:, 0] if goal.classes is None else means, choice)
        return [answer for answer in best if answer is not None]

    def _means(self, columns: Array, found: Rows) -> Array:
        """The mean of the columns [n, T] over the first k of the found rows [M, k'], for each k: [A, M, T]."""
        # A billionth of a vote more for the nearer: a draw is decided, a mean is not moved.
        weight = 1 + 1e-9 * np.arange(found.shape[1], 0, -1, dtype=np.float64)
        return np.stack([_sum(columns, found[:, :k], weight[:k]) for k in self.counts])


def _sum(columns: Array, found: Rows, weight: Array) -> Array:
    if columns.shape[1] == 1:
        weight = np.ones_like(weight)
    total = np.zeros((len(found), columns.shape[1]))
    for position in range(found.shape[1]):
        total += weight[position] * columns[found[:, position]]
    total /= weight.sum()
    return total


def _scaled(candidate: Candidate, scaling: str, train: Rows, test: Rows) -> tuple[Array, Array]:
    x, new = (candidate.features[rows].astype(np.float64) for rows in (train, test))
    shift = x.mean(0)
    scale = Moments.of(x - shift, np.zeros((len(x), 1)), gram=False).scale(scaling)
    return (x - shift) * scale, (new - shift) * scale


def _nearest(known: Array, asked: Array, k: int) -> Rows:
    """Rows of `known` nearest to each asked vector, [M, k], fewer where there are fewer."""
    index = from_extra("sklearn.neighbors").NearestNeighbors(n_neighbors=min(k, len(known))).fit(known)
    rows: Rows = index.kneighbors(asked, return_distance=False).astype(np.int64)
    return rows
