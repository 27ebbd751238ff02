"""Two rivals that never look at a picture: inverse distances and nearest neighbours on the sphere."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Target, check_taught
from satclip.downstream.evaluate.sphere_index import nearest

_AT_ONCE_KM = 1e-6  # a label nearer than this is at the very place


@dataclass(frozen=True)
class InverseDistance:
    """The mean of the `k` nearest labels, weighted by 1 / distance ** power (Shepard 1968, doi 10.1145/800186.810616).

    CoordBench's row "IDW" is this with k = 50 and power 2.
    """

    k: int = 50
    power: float = 2.0
    name: str = "IDW"
    seen: str = "nothing"

    def fit_predict(
        self,
        train_lonlat: Array,
        train_target: Target,
        test_lonlat: Array,
        classes: tuple[str, ...] | None,
        inner_folds: NDArray[np.int64],
    ) -> Array:
        """Predictions [M], or a weight per class [M, C]; nothing is chosen, so the folds are not used.

        Raises:
            ValueError: there are no labels.
        """
        check_taught(self.name, train_target)
        km, rows = nearest(train_lonlat, test_lonlat, self.k)
        weight = np.maximum(km, _AT_ONCE_KM) ** -self.power
        return _weighted(weight / weight.sum(1, keepdims=True), train_target[rows], classes)


@dataclass(frozen=True)
class SphereNeighbours:
    """The plain mean, or the vote, of the `k` nearest labels on the sphere. The nearer decides a draw."""

    k: int = 5
    name: str = "kNN on the sphere"
    seen: str = "nothing"

    def fit_predict(
        self,
        train_lonlat: Array,
        train_target: Target,
        test_lonlat: Array,
        classes: tuple[str, ...] | None,
        inner_folds: NDArray[np.int64],
    ) -> Array:
        """Predictions [M], or votes per class [M, C]; nothing is chosen, so the folds are not used.

        Raises:
            ValueError: there are no labels.
        """
        check_taught(self.name, train_target)
        km, rows = nearest(train_lonlat, test_lonlat, self.k)
        weight = np.full(km.shape, 1 / km.shape[1])
        if classes is not None:
            weight = weight + 1e-9 * np.arange(km.shape[1], 0, -1)
        return _weighted(weight, train_target[rows], classes)


def _weighted(weight: Array, found: Target, classes: tuple[str, ...] | None) -> Array:
    """Weights [M, k] and the labels they belong to [M, k] -> means [M] or sums by class [M, C]."""
    if classes is None:
        mean: Array = (weight * found).sum(1)
        return mean
    scores = np.zeros((len(weight), len(classes)))
    np.add.at(scores, (np.arange(len(weight))[:, None], found.astype(np.int64)), weight)
    return scores
