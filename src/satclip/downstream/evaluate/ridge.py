"""Ridge regression for every penalty and every target at the price of one decomposition.

The loss is ||Y - 1 b' - X W||^2 + alpha sum_j p_j ||W_j||^2, the intercept b free. A column penalty p_j and a scaling
of the column are the same thing, so both are one vector of column scales: X S with S_j = scale_j / sqrt(p_j) under a
plain penalty. With fewer features than places X'X is decomposed, which sums over folds make without touching the rows
again; with fewer places than features XX' is (Hastie, Tibshirani and Friedman, The Elements of Statistical Learning,
18.3.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.tridiagonal import Tridiagonal

ALPHAS: Array = 10.0 ** (np.arange(-8, 15) / 2)  # 1e-4 .. 1e7 by half decades
SCALINGS = ("raw", "z-score", "min-max")
_CONSTANT = 1e-10  # a column that varies less than this, relative to its size, says nothing


@dataclass(frozen=True)
class Moments:
    """Sums over some rows, from which any scaling's normal equations follow; they add up over disjoint rows.

    Attributes:
        count: of rows.
        total: [D] sum of the features.
        square: [D, D] X'X, None where only the scales are asked for.
        cross: [D, T] X'Y.
        target: [T] sum of the targets.
        low: [D] smallest feature.
        high: [D] largest.
    """

    count: int
    total: Array
    square: Array | None
    cross: Array
    target: Array
    low: Array
    high: Array
    diagonal: Array

    @classmethod
    def of(cls, x: Array, y: Array, *, gram: bool = True) -> "Moments":
        """Of features [n, D] and targets [n, T], n > 0. Shift both near zero first, or variances cancel."""
        square = x.T @ x if gram else None
        diagonal = np.einsum("nd,nd->d", x, x) if square is None else np.diagonal(square).copy()
        return cls(len(x), x.sum(0), square, x.T @ y, y.sum(0), x.min(0), x.max(0), diagonal)

    def __add__(self, other: "Moments") -> "Moments":
        square = None if self.square is None or other.square is None else self.square + other.square
        return Moments(
            self.count + other.count,
            self.total + other.total,
            square,
            self.cross + other.cross,
            self.target + other.target,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.diagonal + other.diagonal,
        )

    def scale(self, scaling: str, *, ddof: int = 0) -> Array:
        """What a column is multiplied by, [D]; 0 where it is constant.

        "raw" is one number for all columns, which brings them to unit variance on average: their relative sizes stay,
        and one grid of penalties suits every encoder. "z-score" is 1 / standard deviation, "min-max" 1 / range, "none"
        leaves the columns as they are.

        Raises:
            ValueError: when `scaling` is neither "none" nor one of SCALINGS.
        """
        mean = self.total / self.count
        spread = np.sqrt(np.maximum(self.diagonal / self.count - mean**2, 0))
        size = np.sqrt(self.diagonal / self.count)
        varies = (self.high > self.low) & (spread > _CONSTANT * size)
        if scaling == "none":
            return varies.astype(np.float64)
        if scaling == "raw":
            common = float(np.sqrt((spread[varies] ** 2).mean())) if varies.any() else 1.0
            return varies / common
        if scaling == "z-score":
            width = spread * np.sqrt(self.count / max(self.count - ddof, 1))
        elif scaling == "min-max":
            width = self.high - self.low
        else:
            raise ValueError(f"scaling must be none or one of {', '.join(SCALINGS)}, got {scaling!r}")
        inverse: Array = np.divide(1.0, width, out=np.zeros_like(width), where=varies)
        return inverse


@dataclass(frozen=True)
class Ridge:
    """A decomposed problem: the predictions of every penalty are two products away.

    Attributes:
        mean: [D] of the features.
        intercept: [T] mean of the targets.
        lift: from the rows of `axes` to the coefficients of the centred features: one number each [D] where they are
            the features themselves, a matrix [D, R] where they are the training rows.
        axes: of X'X or XX', scaled and centred, R rows.
        cross: [R, T] targets, turned into the axes.
        count: of training rows.
    """

    mean: Array
    intercept: Array
    lift: Array
    axes: Tridiagonal
    cross: Array
    count: int

    @classmethod
    def primal(cls, moments: Moments, scale: Array) -> "Ridge":
        """From sums over the training rows, for column scales [D].

        Raises:
            ValueError: when the moments were taken without X'X.
        """
        if moments.square is None:
            raise ValueError("the primal problem needs the moments with gram=True")
        mean, intercept = moments.total / moments.count, moments.target / moments.count
        gram = moments.square - np.outer(moments.total, mean)
        axes = Tridiagonal.of(scale[:, None] * gram * scale)
        cross = axes.turned(scale[:, None] * (moments.cross - np.outer(moments.total, intercept)), back=True)
        return cls(mean, intercept, scale, axes, cross, moments.count)

    @classmethod
    def dual(cls, x: Array, y: Array, scale: Array) -> "Ridge":
        """From the rows themselves [n, D], [n, T], for column scales [D]."""
        mean, intercept = x.mean(0), y.mean(0)
        scaled = (x - mean) * scale
        axes = Tridiagonal.of(scaled @ scaled.T)
        return cls(mean, intercept, scale[:, None] * scaled.T, axes, axes.turned(y - intercept, back=True), len(x))

    @classmethod
    def fit(cls, x: Array, y: Array, scaling: str = "none", penalty: Array | None = None) -> "Ridge":
        """The cheaper of the two, for a scaling by name and a relative penalty of each column [D]."""
        gram = x.shape[1] < len(x)
        shift = x.mean(0)
        moments = Moments.of(x - shift, y, gram=gram)
        scale = moments.scale(scaling)
        scale = scale if penalty is None else scale / np.sqrt(penalty)
        if not gram:
            return cls.dual(x, y, scale)
        found = cls.primal(moments, scale)
        return replace(found, mean=found.mean + shift)

    def part(self, targets: NDArray[np.int64]) -> "Ridge":
        """The same problem for some of its targets, by their numbers."""
        return replace(self, intercept=self.intercept[targets], cross=self.cross[:, targets])

    def weights(self, alphas: Sequence[float] | Array) -> Array:
        """Coefficients of the features as they came, [A, D, T]."""
        return self._by_penalty(self._lifted(self._along(np.asarray(alphas))), len(alphas))

    def predict(self, x: Array, alphas: Sequence[float] | Array) -> Array:
        """Predictions of each penalty: [M, D] -> [A, M, T]."""
        centred, along = x - self.mean, self._along(np.asarray(alphas))
        # Whichever is cheaper: the rows into the axes, or every coefficient back to the features.
        if len(x) >= along.shape[1]:
            product = centred @ self._lifted(along)
        else:
            rows = centred * self.lift if self.lift.ndim == 1 else centred @ self.lift
            product = self.axes.turned(rows.T, back=True).T @ along
        return self._by_penalty(product, len(alphas)) + self.intercept

    def _along(self, alphas: Array) -> Array:
        """Coefficients in the axes, [R, A T]: the targets of one penalty lie beside each other."""
        return self.axes.solved(alphas, self.cross).reshape(-1, len(self.cross)).T

    def _lifted(self, along: Array) -> Array:
        """The same of the centred features, [D, A T]."""
        turned = self.axes.turned(along)
        lifted: Array = self.lift[:, None] * turned if self.lift.ndim == 1 else self.lift @ turned
        return lifted

    @staticmethod
    def _by_penalty(columns: Array, penalties: int) -> Array:
        """[N, A T] -> [A, N, T]."""
        return columns.reshape(len(columns), penalties, -1).transpose(1, 0, 2)


@dataclass(frozen=True)
class Solved:
    """A ridge of one penalty.

    Attributes:
        mean: [D] of the features.
        intercept: [T] mean of the targets.
        weights: of the centred features, [D, T].
    """

    mean: Array
    intercept: Array
    weights: Array

    @classmethod
    def primal(cls, moments: Moments, scale: Array, alpha: float) -> "Solved":
        """As `Ridge.primal`, at an eighth of its price: one system is solved, and nothing decomposed.

        Raises:
            ValueError: when the moments were taken without X'X.
        """
        if moments.square is None:
            raise ValueError("the primal problem needs the moments with gram=True")
        mean, intercept = moments.total / moments.count, moments.target / moments.count
        gram = scale[:, None] * (moments.square - np.outer(moments.total, mean)) * scale
        cross = scale[:, None] * (moments.cross - np.outer(moments.total, intercept))
        np.fill_diagonal(gram, gram.diagonal() + alpha)
        return cls(mean, intercept, scale[:, None] * np.linalg.solve(gram, cross))

    @classmethod
    def dual(cls, x: Array, y: Array, scale: Array, alpha: float) -> "Solved":
        """As `Ridge.dual`."""
        mean, intercept = x.mean(0), y.mean(0)
        scaled = (x - mean) * scale
        kernel = scaled @ scaled.T
        np.fill_diagonal(kernel, kernel.diagonal() + alpha)
        return cls(mean, intercept, scale[:, None] * (scaled.T @ np.linalg.solve(kernel, y - intercept)))

    def predict(self, x: Array) -> Array:
        """[M, D] -> [M, T]."""
        predicted: Array = (x - self.mean) @ self.weights + self.intercept
        return predicted


def one_hot(codes: NDArray[np.int64], classes: int) -> Array:
    """Class codes as columns: [N] -> [N, C]."""
    return np.eye(classes)[codes]
