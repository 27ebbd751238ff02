"""How good a prediction is, as sums by group of places, from which any resampling is one product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Target

FLOOR = -1.0  # CoordBench floors R2 here, so that one wild fold does not decide a mean


@dataclass(frozen=True)
class Sums:
    """Sufficient sums of one set of predictions by group (a cell, a bin of distance), [G, 4].

    Columns of a regression: squared error, count, sum of truths, sum of squared truths; of a classification: right
    answers, count, 0, 0. Truths are shifted by one constant, so that nothing cancels.
    """

    groups: NDArray[np.int64]  # [G], ids
    sums: Array  # [G, 4]
    regression: bool

    @classmethod
    def of(cls, predicted: Array, truth: Target, groups: NDArray[np.int64], *, regression: bool) -> "Sums":
        """Predictions [M] (or scores [M, C]) against truths [M] by group [M]."""
        ids, inverse = np.unique(groups, return_inverse=True)
        columns = np.zeros((len(truth), 4))
        columns[:, 1] = 1
        if regression:
            shifted = truth - truth.mean()
            columns[:, 0], columns[:, 2], columns[:, 3] = (truth - predicted) ** 2, shifted, shifted**2
        else:
            columns[:, 0] = predicted.argmax(1) == truth
        sums = np.zeros((len(ids), 4))
        np.add.at(sums, inverse, columns)
        return cls(ids, sums, regression)

    def score(self, weights: Array | None = None, *, floor: float | None = None) -> Array:
        """R2 or accuracy under weights of the groups [B, G] (once each where none are given): [B], NaN without data."""
        return self.score_of((np.ones((1, len(self.groups))) if weights is None else weights) @ self.sums, floor=floor)

    def score_of(self, total: Array, *, floor: float | None = None) -> Array:
        """R2 or accuracy of sums over groups [B, 4]: [B], NaN without data."""
        first, count, linear, square = total.T
        with np.errstate(divide="ignore", invalid="ignore"):
            if not self.regression:
                return np.where(count > 0, first / count, np.nan)
            spread = square - linear**2 / count
            found = np.where(spread > 1e-12 * np.maximum(square, 1e-300), 1 - first / spread, np.nan)
        return found if floor is None else np.maximum(found, floor)

    def among(self, groups: NDArray[np.int64]) -> Array:
        """The sums at their place among all `groups` [A], which are sorted and hold each of these: [A, 4], else 0."""
        full = np.zeros((len(groups), self.sums.shape[1]))
        full[np.searchsorted(groups, self.groups)] = self.sums
        return full


def r_squared(predicted: Array, truth: Array, *, floor: float | None = None) -> float:
    """One minus the squared error over that of the truths' own mean; NaN where the truths are all equal."""
    one = np.zeros(len(truth), dtype=np.int64)
    return float(Sums.of(predicted, truth, one, regression=True).score(floor=floor)[0])


def accuracy(scores: Array, truth: NDArray[np.int64]) -> float:
    """The fraction of rows whose largest score is at the true class: [M, C], [M] -> 0 to 1."""
    return float((scores.argmax(1) == truth).mean())


def macro_f1(scores: Array, truth: NDArray[np.int64]) -> float:
    """The mean over classes of 2 right / (asked + answered), over classes that were asked or answered; 0 to 1."""
    answer = scores.argmax(1)
    classes = scores.shape[1]
    asked, answered = np.bincount(truth, minlength=classes), np.bincount(answer, minlength=classes)
    right = np.bincount(truth[answer == truth], minlength=classes)
    seen = asked + answered > 0
    return float((2 * right[seen] / (asked + answered)[seen]).mean())


def absent_classes(train: NDArray[np.int64], test: NDArray[np.int64], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the classes that are asked for and were never taught: no probe can answer them."""
    return tuple(classes[code] for code in np.setdiff1d(test, train))
