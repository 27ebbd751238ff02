"""CoordBench's protocol, to the last digits: its folds, its ridge, its choice of the penalty.

Source: taylor-geospatial/mind and torchgeo-bench (mode=coord), as of 2026. Features are z-scored with the standard
deviation (ddof 1) of the training rows, classes are one-hot columns, the penalty is 1e-4 .. 1e6 by half decades, the
score is the mean over five folds. Version 1 adds a column of ones that is penalised. Either takes the penalty that is
best on the TEST folds: such rows are optimistic, and are here to be reproduced. R2 is not floored.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Labels
from satclip.downstream.evaluate.answers import Goal
from satclip.downstream.evaluate.ridge import Moments, Ridge
from satclip.downstream.evaluate.scores import accuracy, r_squared

ALPHAS: Array = 10.0 ** (np.arange(-8, 13) / 2)
FOLDS = 5
_ROW = 100_003  # a prime above the number of columns of any grid


@dataclass(frozen=True)
class CoordBenchScore:
    """The score of one set, at the penalty that is best on average over the folds.

    Attributes:
        score: mean R2 or accuracy of the folds.
        folds: score of each.
        alpha: the penalty taken.
    """

    score: float
    folds: tuple[float, ...]
    alpha: float


def coordbench_folds(lonlat: Array, degrees: float, seed: int = 0) -> NDArray[np.int64]:
    """Fold 0 .. 4 of each place: of single places where `degrees` is 0, of whole cells otherwise. [N, 2] -> [N].

    Where there are fewer cells than folds, some numbers stay empty.
    """
    generator = np.random.default_rng(seed)
    fold = np.empty(len(lonlat), dtype=np.int64)
    if degrees == 0:
        fold[generator.permutation(len(lonlat))] = np.arange(len(lonlat)) % FOLDS
        return fold
    cell = np.floor(lonlat[:, 1] / degrees) * _ROW + np.floor(lonlat[:, 0] / degrees)
    ids, inverse = np.unique(cell, return_inverse=True)
    rank: NDArray[np.int64] = generator.permutation(len(ids))
    fold[:] = rank[inverse] % FOLDS
    return fold


def coordbench(
    features: NDArray[np.floating], labels: Labels, degrees: float, *, version: int = 1, seed: int = 0
) -> CoordBenchScore:
    """Score features [N, D] as CoordBench does.

    Args:
        features: of the places of `labels`.
        labels: the task.
        degrees: size of the held-out cells, 0 for random folds.
        version: 1 penalises the intercept, 2 does not.
        seed: of the folds.

    Raises:
        ValueError: for another version, or where all places lie in one cell.
    """
    if version not in (1, 2):
        raise ValueError(f"version must be 1 (penalised intercept) or 2 (free intercept), got {version}")
    fold = coordbench_folds(labels.lonlat, degrees, seed)
    if len(np.unique(fold)) < 2:
        raise ValueError(f"all of {labels.name} lies in one cell of {degrees:g} degrees; hold out smaller cells")
    goal = Goal(labels.target, None if labels.classes is None else len(labels.classes))
    scores = np.stack([_fold_scores(features, goal, fold == number, version) for number in np.unique(fold)])
    best = int(scores.mean(0).argmax())
    return CoordBenchScore(float(scores[:, best].mean()), tuple(scores[:, best].tolist()), float(ALPHAS[best]))


def _fold_scores(features: NDArray[np.floating], goal: Goal, test: NDArray[np.bool_], version: int) -> Array:
    train = features[~test].astype(np.float64)
    shift = train.mean(0)
    gram = train.shape[1] < len(train)
    moments = Moments.of(train - shift, goal.columns[~test], gram=gram)
    scale = moments.scale("z-score", ddof=1)
    ridge = Ridge.primal(moments, scale) if gram else Ridge.dual(train - shift, goal.columns[~test], scale)
    predicted = ridge.predict(features[test].astype(np.float64) - shift, ALPHAS)
    if version == 1:
        # z-scored columns have mean zero, so a penalised column of ones takes no part in the rest of the problem: its
        # coefficient is sum(y) / (n + alpha) instead of the mean.
        predicted = predicted - ridge.intercept * (ALPHAS / (ridge.count + ALPHAS))[:, None, None]
    truth = goal.truth[test]
    if goal.classes is None:
        return np.array([r_squared(one[:, 0], truth.astype(np.float64)) for one in predicted])
    return np.array([accuracy(one, truth.astype(np.int64)) for one in predicted])
