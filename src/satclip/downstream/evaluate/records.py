"""One line per fit: what was asked, what came out, and enough sums to resample it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.evaluate.answers import Choice
from satclip.downstream.evaluate.scores import Sums

ALL = "all"
_SEED = ", seed "


@dataclass(frozen=True)
class Predictions:
    """What was answered where, for maps: rows of the task's places [M], and a number or a class code each [M]."""

    rows: NDArray[np.int64]
    answer: NDArray[np.float64] | NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """One encoder on one task under one draw with so many labels.

    Attributes:
        task: name of the labels.
        encoder: name of the row.
        seen: what its pretraining saw.
        probe: "ridge", "knn", "mlp", "range"; "-" for a method without a probe.
        holdout: "random", "cells 10", "continents", "buffer 100 km", ...
        part: what is held out, where it has a name.
        draw: number of the draw; equal numbers are the same places for every encoder.
        asked: labels asked for, "30" or "all".
        labels: labels given.
        tested: places tested.
        metric: "R2" or "accuracy".
        score: not floored; NaN where all truths are equal.
        macro_f1: NaN for a regression.
        choice: what the inner folds chose, and their score.
        inner_kind: kind of the inner folds, "random" where the labels lie too close together for any other.
        absent: classes that are tested and were never taught.
        by_cell: sums for the bootstrap.
        by_distance: sums by bin of distance to the nearest label (`intervals.DISTANCE_KM`).
        predictions: kept for the most labels of each draw.
    """

    task: str
    encoder: str
    seen: str
    probe: str
    holdout: str
    part: str
    draw: int
    asked: str
    labels: int
    tested: int
    metric: str
    score: float
    macro_f1: float
    choice: Choice
    inner_kind: str
    absent: tuple[str, ...]
    by_cell: Sums
    by_distance: Sums
    predictions: Predictions | None = None

    @property
    def family(self) -> str:
        """The encoder without its seed: "untrained x, seed 2" is one of the seeds of "untrained x"."""
        return family_of(self.encoder)

    def flat(self) -> dict[str, str | int | float | bool]:
        """For a CSV: one value per column."""
        names = ("task", "encoder", "seen", "probe", "holdout", "part", "draw", "asked", "labels", "tested", "metric")
        chosen = ("inner_score", "candidate", "setting", "scaling", "beta", "edge")
        return {
            **{name: getattr(self, name) for name in names},
            "score": self.score,
            "macro_f1": self.macro_f1,
            **{name: getattr(self.choice, name) for name in chosen},
            "inner_kind": self.inner_kind,
            "absent": " | ".join(self.absent),
        }


def family_of(encoder: str) -> str:
    """The name of a row without its seed."""
    head, _, seed = encoder.rpartition(_SEED)
    return head if seed.isdigit() and head else encoder
