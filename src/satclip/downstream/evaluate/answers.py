"""What a probe is asked and what it answers."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Target
from satclip.downstream.evaluate.ridge import one_hot

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Goal:
    """One task on the places of a set, as columns to fit and truths to be scored by.

    Attributes:
        truth: float64 [N], or codes [N].
        classes: how many; None for a regression.
        columns: [N, T], T = 1 for a regression, one-hot otherwise.
    """

    truth: Target
    classes: int | None
    columns: Array = field(init=False)

    def __post_init__(self) -> None:
        columns = self.truth[:, None] if self.classes is None else one_hot(self.truth.astype(np.int64), self.classes)
        object.__setattr__(self, "columns", np.asarray(columns, dtype=np.float64))

    def taught(self, train: Rows) -> Rows:
        """The columns that rows `train` teach anything: classes that none of them has are 0 to every linear probe."""
        if self.classes is None:
            return np.zeros(1, dtype=np.int64)
        return np.unique(self.truth[train].astype(np.int64))

    def losses(self, predicted: Array, rows: Rows, taught: Rows | None = None) -> Array:
        """Squared error, or the number of wrong answers, of each of A predictions: [A, M, T] -> [A].

        Where only the columns `taught` are predicted, T of them, they are named.
        """
        if self.classes is None:
            squared: Array = ((predicted[:, :, 0] - self.truth[rows]) ** 2).sum(1)
            return squared
        answered = predicted.argmax(2) if taught is None else taught[predicted.argmax(2)]
        wrong: Array = (answered != self.truth[rows]).sum(1).astype(np.float64)
        return wrong

    def score(self, loss: float, train: Rows, held: Rows) -> float:
        """What a loss over `held` is worth: R2 about the mean of the training labels, or accuracy."""
        if self.classes is not None:
            return 1 - loss / len(held)
        spread = float(((self.truth[held] - self.truth[train].mean()) ** 2).sum())
        return 1 - loss / spread if spread > 0 else 0.0


@dataclass(frozen=True)
class Candidate:
    """Features of every place of a set [N, D], and the column penalties to try with them, by beta (None: plain)."""

    name: str
    features: NDArray[np.floating]
    penalties: dict[float, Array | None] = field(default_factory=lambda: {0.0: None})


@dataclass(frozen=True)
class Choice:
    """What the inner folds chose.

    Attributes:
        inner_score: R2 about the training mean, or accuracy, over all inner folds together.
        candidate: name of the features.
        setting: the penalty alpha of a ridge, the neighbours of a kNN.
        scaling: of the columns.
        beta: column penalty.
        edge: whether the setting is the smallest or largest that was offered.
    """

    inner_score: float
    candidate: str = ""
    setting: float = np.nan
    scaling: str = ""
    beta: float = np.nan
    edge: bool = False


@dataclass(frozen=True)
class Answer:
    """Predictions [M] or scores [M, C] of the test places, and what they rest on."""

    predicted: Array
    choice: Choice
