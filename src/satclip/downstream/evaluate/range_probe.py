"""The probe of RANGE and TTE (arXiv 2502.19781, range/evaluation): min-max scaling and three penalties.

Features are scaled to 0 .. 1 on the training rows, once, before the inner folds. A regression takes of alpha .1, 1, 10
the one with the best mean R2 over three consecutive folds, a classification the one with the best mean accuracy over
ten stratified ones, as scikit-learn's RidgeCV(cv=3) and RidgeClassifierCV(cv=10) do. With many features the largest
alpha is often the one chosen: `Choice.edge` counts it.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.answers import Answer, Candidate, Choice, Goal
from satclip.downstream.evaluate.extra import from_extra
from satclip.downstream.evaluate.inner_folds import InnerFolds
from satclip.downstream.evaluate.ridge import Ridge
from satclip.downstream.evaluate.scores import accuracy, r_squared

Rows = NDArray[np.int64]
ALPHAS: Array = np.array([0.1, 1.0, 10.0])
REGRESSION_FOLDS, CLASS_FOLDS = 3, 10


def range_split(count: int, seed: int = 42) -> tuple[Rows, Rows]:
    """RANGE's split of `count` rows, 80/20 at random: (training rows, test rows)."""
    generator = torch.Generator().manual_seed(seed)
    # What torch.utils.data.random_split does with the fractions .8 and .2: a row left over by rounding is training's.
    order: Rows = torch.randperm(count, generator=generator).numpy()
    tested = int(np.floor(count * 0.2))
    return order[: count - tested], order[count - tested :]


@dataclass(frozen=True)
class RangeProbe:
    """Takes the rows it is given; the folds of the benchmark's hold-out are not used, it has its own."""

    name: str = "range"

    def answers(
        self, candidates: Sequence[Candidate], goals: Sequence[Goal], train: Rows, test: Rows, inner: InnerFolds
    ) -> list[Answer]:
        """Answer each task with the features that did best in the probe's own folds."""
        return [
            max((_answer(one, goal, train, test) for one in candidates), key=lambda found: found.choice.inner_score)
            for goal in goals
        ]


def _answer(candidate: Candidate, goal: Goal, train: Rows, test: Rows) -> Answer:
    x, new = (candidate.features[rows].astype(np.float64) for rows in (train, test))
    low, width = x.min(0), x.max(0) - x.min(0)
    width = np.where(width > 0, width, 1.0)
    x, new = (x - low) / width, (new - low) / width
    y, truth = goal.columns[train], goal.truth[train]
    folds = _consecutive(len(x)) if goal.classes is None else _stratified(truth)
    scores = np.mean([_scores(x, y, truth, goal, fold) for fold in folds], axis=0)
    best = int(scores.argmax())
    predicted = Ridge.fit(x, y).predict(new, ALPHAS[best : best + 1])[0]
    choice = Choice(
        float(scores[best]), candidate.name, float(ALPHAS[best]), "min-max", np.nan, best in (0, len(ALPHAS) - 1)
    )
    return Answer(predicted[:, 0] if goal.classes is None else predicted, choice)


def _scores(x: Array, y: Array, truth: NDArray[np.float64] | NDArray[np.int64], goal: Goal, held: Rows) -> Array:
    rest = np.setdiff1d(np.arange(len(x)), held)
    predicted = Ridge.fit(x[rest], y[rest]).predict(x[held], ALPHAS)
    if goal.classes is None:
        return np.array([r_squared(one[:, 0], truth[held].astype(np.float64)) for one in predicted])
    return np.array([accuracy(one, truth[held].astype(np.int64)) for one in predicted])


def _consecutive(count: int) -> list[Rows]:
    return np.array_split(np.arange(count), min(REGRESSION_FOLDS, count))


def _stratified(codes: NDArray[np.float64] | NDArray[np.int64]) -> list[Rows]:
    """scikit-learn's own, whose dealing of rare classes is not obvious; a class rarer than the folds is no error here.

    Raises:
        ModuleNotFoundError: without scikit-learn; ends with what to install.
    """
    folds = max(2, min(CLASS_FOLDS, int(np.bincount(codes.astype(np.int64)).max())))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        return [
            test
            for _, test in from_extra("sklearn.model_selection")
            .StratifiedKFold(folds)
            .split(np.zeros((len(codes), 1)), codes)
        ]
