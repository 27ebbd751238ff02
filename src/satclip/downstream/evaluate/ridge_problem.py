"""The ridge problems of one feature set over the inner folds, with sums that are taken once."""

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.answers import Candidate
from satclip.downstream.evaluate.inner_folds import InnerFolds
from satclip.downstream.evaluate.ridge import Moments, Ridge, Solved

Rows = NDArray[np.int64]
Pair = tuple[str, float]  # scaling, beta


class RidgeProblem:
    """Training rows of one feature set, shifted to mean zero, and their inner folds.

    X'X of a fold is taken once; what teaches while a fold is out is the sum of the others. Every scaling and column
    penalty is then a rescaling of that sum.
    """

    def __init__(self, candidate: Candidate, columns: Array, train: Rows, inner: InnerFolds) -> None:
        """Prepare for targets `columns` [N, T] and training rows [n].

        Raises:
            ValueError: when a feature is NaN or infinite.
        """
        self.candidate, self.inner, self.train = candidate, inner, train
        features = candidate.features[train].astype(np.float64)
        if not np.isfinite(features).all():
            raise ValueError(
                f"{candidate.name}: vectors of {int((~np.isfinite(features)).any(1).sum())} of {len(train)} places "
                "are NaN or infinite; its training diverged (lower optimizer.lr), or the places lie outside its range"
            )
        self.shift = features.mean(0)
        self.x, self.y = features - self.shift, columns[train]
        self.parts: dict[int, Moments] = {}
        if features.shape[1] < len(train) and inner.complementary:
            numbers = np.unique(inner.fold).tolist()
            self.parts = {number: self._moments(np.flatnonzero(inner.fold == number), gram=True) for number in numbers}

    def rows(self, rows: Rows) -> Array:
        """Features of any rows of the set, shifted as the training rows were: [M, D]."""
        shifted: Array = self.candidate.features[rows].astype(np.float64) - self.shift
        return shifted

    def ridges(self, teach: Rows, held: Rows, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Ridge]]:
        """While the rows `held` of `train` are out: a ridge on `teach` for each (scaling, beta)."""
        moments = self._without(teach, held)
        for scaling, beta in pairs:
            yield (scaling, beta), self._ridge(moments, teach, scaling, beta)

    def final(self, scaling: str, beta: float, alpha: float) -> Solved:
        """Solved on all training rows."""
        rows = np.arange(len(self.x))
        moments = reduce(add, self.parts.values()) if self.parts else self._moments(rows, gram=self._primal(rows))
        scale = self._scale(moments, scaling, beta)
        return Solved.primal(moments, scale, alpha) if self._primal(rows) else Solved.dual(self.x, self.y, scale, alpha)

    def _without(self, teach: Rows, held: Rows) -> Moments:
        if not self.parts:
            return self._moments(teach, gram=self._primal(teach))
        out = int(self.inner.fold[held[0]])
        return reduce(add, (moments for number, moments in self.parts.items() if number != out))

    def _primal(self, rows: Rows) -> bool:
        """Whether X'X is smaller than XX'."""
        return bool(self.x.shape[1] < len(rows))

    def _moments(self, rows: Rows, *, gram: bool) -> Moments:
        return Moments.of(self.x[rows], self.y[rows], gram=gram)

    def _ridge(self, moments: Moments, rows: Rows, scaling: str, beta: float) -> Ridge:
        scale = self._scale(moments, scaling, beta)
        return Ridge.primal(moments, scale) if self._primal(rows) else Ridge.dual(self.x[rows], self.y[rows], scale)

    def _scale(self, moments: Moments, scaling: str, beta: float) -> Array:
        scale, penalty = moments.scale(scaling), self.candidate.penalties[beta]
        return scale if penalty is None else scale / np.sqrt(penalty)
