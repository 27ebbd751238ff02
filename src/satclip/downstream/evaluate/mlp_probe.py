"""The small network of the published air-temperature notebook (microsoft/satclip, B01), with its error mended.

Two hidden layers of 64, ReLU, Adam at 1e-3, 3,000 steps on all training rows at once, squared error or cross-entropy.
The notebook repeats one layer object, so that its hidden layers share their weights; here each has its own. Targets and
features are standardised on the training rows, which takes the place of its division by the largest temperature.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.answers import Answer, Candidate, Choice, Goal
from satclip.downstream.evaluate.inner_folds import InnerFolds
from satclip.downstream.evaluate.ridge import Moments

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MlpProbe:
    """A network per task; where there are several feature sets, the one that does best on the first inner fold."""

    hidden: int = 64
    steps: int = 3000
    lr: float = 1e-3
    seed: int = 0
    name: str = "mlp"

    def answers(
        self, candidates: Sequence[Candidate], goals: Sequence[Goal], train: Rows, test: Rows, inner: InnerFolds
    ) -> list[Answer]:
        """As `RidgeProbe.answers`. The inner score is that of the first inner fold; nothing else is chosen by it.

        Raises:
            ValueError: when no inner fold has places both to learn from and to test.
        """
        fold = next(iter(inner), None)
        if fold is None:
            raise ValueError("no inner fold has places both to learn from and to test; give the probe more labels")
        teach, held = (train[rows] for rows in fold)
        found = []
        for goal in goals:
            tried = []
            for candidate in candidates:
                loss = float(goal.losses(self.fit_predict(candidate, goal, teach, held)[None], held)[0])
                tried.append((goal.score(loss, teach, held), candidate))
            score, chosen = max(tried, key=lambda pair: pair[0])
            predicted = self.fit_predict(chosen, goal, train, test)
            answer = predicted[:, 0] if goal.classes is None else predicted
            found.append(Answer(answer, Choice(score, chosen.name, scaling="z-score")))
        return found

    def fit_predict(self, candidate: Candidate, goal: Goal, train: Rows, test: Rows) -> Array:
        """Train on rows [n], answer for rows [M]: [M, T]."""
        x, new = (candidate.features[rows].astype(np.float64) for rows in (train, test))
        shift = x.mean(0)
        scale = Moments.of(x - shift, np.zeros((len(x), 1)), gram=False).scale("z-score")
        features, asked = (torch.from_numpy((part - shift) * scale).float() for part in (x, new))
        columns = torch.from_numpy(goal.columns[train]).float()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = self._network(features.shape[1], columns.shape[1])
        if goal.classes is not None:
            self._train(network, features, lambda out: F.cross_entropy(out, columns))
            return self._out(network, asked)
        mean, spread = columns.mean(0), columns.std(0, correction=0).clamp_min(1e-12)
        targets = (columns - mean) / spread
        self._train(network, features, lambda out: F.mse_loss(out, targets))
        return self._out(network, asked) * float(spread) + float(mean)

    def _network(self, dim: int, out: int) -> nn.Module:
        first, second, last = (
            nn.Linear(dim, self.hidden),
            nn.Linear(self.hidden, self.hidden),
            nn.Linear(self.hidden, out),
        )
        return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), last)

    def _train(self, network: nn.Module, features: Tensor, loss: Callable[[Tensor], Tensor]) -> None:
        optimizer = torch.optim.Adam(network.parameters(), lr=self.lr)
        with torch.enable_grad():
            for _ in range(self.steps):
                optimizer.zero_grad()
                torch.autograd.backward(loss(network(features)))
                optimizer.step()

    def _out(self, network: nn.Module, asked: Tensor) -> Array:
        with torch.no_grad():
            out: Array = network(asked).double().numpy()
        return out
