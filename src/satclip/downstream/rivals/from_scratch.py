"""The same network trained on the labels alone: what pretraining must be worth."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.downstream.contract import Array, Target
from satclip.downstream.rivals.frozen import NOTHING, Frozen, checked
from satclip.downstream.rivals.weights_file import seeded
from satclip.location.encoder import LocationEncoder

LEARNING_RATES = (1e-3, 1e-4)
BATCH, CHECKED_EVERY, PATIENCE = 256, 20, 5
MOST_CHECKED = 1000  # rows of the held-out part that a check looks at
SHARE_HELD_OUT = 0.2


class Choice(NamedTuple):
    """What the held-out part chose."""

    rate: float
    steps: int


class Headed(nn.Module):
    """The network of an encoder and a linear head: features [B, F] -> [B, width]."""

    def __init__(self, config: dict[str, Any], width: int) -> None:
        super().__init__()
        encoder = LocationEncoder.from_config(config)
        self.network, self.head = encoder.network, nn.Linear(encoder.embedding_dim, width)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, width]."""
        answer: Tensor = self.head(self.network(features))
        return answer


class FromScratch:
    """An encoder's architecture and a linear head, trained together from fresh weights.

    The learning rate and the number of steps are chosen on one inner fold; then all labels are trained on with them.
    Regression minimises the squared error of the standardised target, classification the cross-entropy.

    Args:
        config: of the encoder, as `LocationEncoder.config()` gives it.
        most_steps: at most so many steps of at most 256 rows.
    """

    seen = NOTHING

    def __init__(self, config: dict[str, Any], name: str = "from scratch", *, seed: int = 0, most_steps: int = 400):
        self.config, self.name, self.seed, self.most_steps = config, name, seed, most_steps

    def fit_predict(
        self,
        train_lonlat: Array,
        train_target: Target,
        test_lonlat: Array,
        classes: tuple[str, ...] | None,
        inner_folds: NDArray[np.int64],
    ) -> Array:
        """Learn from labelled places, answer for others: [M], or scores [M, C]. See `contract.Predictor`.

        Raises:
            ValueError: there are no labels, or a place is none.
        """
        if not len(train_target):
            raise ValueError("from scratch needs labels, got none; give places with labels")
        encoder = seeded(partial(LocationEncoder.from_config, self.config), self.seed)
        with torch.no_grad():  # the encoding has no weights: once is enough
            train, test = (encoder.encoding(checked(each), torch.float32) for each in (train_lonlat, test_lonlat))
        centre, spread = 0.0, 1.0
        target = torch.from_numpy(np.asarray(train_target))
        if classes is None:
            centre, spread = float(target.mean()), float(target.std(correction=0)) or 1.0
            target = ((target - centre) / spread).float()
        width = 1 if classes is None else len(classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)  # of the dropout, where the network has any
            choice = self._choose(train, target, width, inner_folds)
            model, steps = self._start(width, choice.rate, train, target)
            for _ in zip(range(choice.steps), steps, strict=False):
                pass
        answer = _answers(model, test).double().numpy()
        return np.asarray(answer[:, 0] * spread + centre if classes is None else answer)

    def _choose(self, features: Tensor, target: Tensor, width: int, folds: NDArray[np.int64]) -> Choice:
        held = torch.from_numpy(_held_out(len(target), folds, self.seed))
        if not held.any():  # too few labels to part with any
            return Choice(LEARNING_RATES[0], self.most_steps // 4)
        watched = held.nonzero().flatten()[:MOST_CHECKED]
        best = (float("inf"), Choice(LEARNING_RATES[0], CHECKED_EVERY))
        for rate in LEARNING_RATES:
            model, steps = self._start(width, rate, features[~held], target[~held])
            lowest, since = float("inf"), 0
            for done in range(CHECKED_EVERY, self.most_steps + 1, CHECKED_EVERY):
                for _ in zip(range(CHECKED_EVERY), steps, strict=False):
                    pass
                loss = float(_loss(_answers(model, features[watched]), target[watched]))
                if loss < lowest:
                    lowest, since = loss, 0
                    best = min(best, (loss, Choice(rate, done)))
                else:
                    since += 1
                if since == PATIENCE:
                    break
        return best[1]

    def _start(self, width: int, rate: float, features: Tensor, target: Tensor) -> tuple[nn.Module, Iterator[None]]:
        """A fresh model, and its steps: one is taken for every `next`."""

        model = seeded(partial(Headed, self.config, width), self.seed)
        return model, _steps(model, rate, features, target, torch.Generator().manual_seed(self.seed))


def from_scratch(encoder: Frozen, seed: int = 0) -> FromScratch:
    """The architecture of `encoder`, to be trained on the labels.

    Raises:
        ValueError: `encoder` is not an architecture of this project, or has no weights.
    """
    if not isinstance(encoder.network, LocationEncoder):
        raise ValueError(
            f"{encoder.name} cannot be trained from scratch here; from_scratch: takes checkpoints of this project and "
            "the released models"
        )
    return FromScratch(encoder.network.config(), f"from scratch {encoder.name}", seed=seed)


def _steps(model: nn.Module, rate: float, features: Tensor, target: Tensor, draw: torch.Generator) -> Iterator[None]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2)
    model.train()
    while True:
        for rows in torch.split(torch.randperm(len(target), generator=draw), BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(_loss(model(features[rows]), target[rows]))
            optimizer.step()
            yield


def _loss(answer: Tensor, target: Tensor) -> Tensor:
    return F.mse_loss(answer[:, 0], target) if target.is_floating_point() else F.cross_entropy(answer, target)


@torch.inference_mode()
def _answers(model: nn.Module, features: Tensor) -> Tensor:
    model.eval()
    answer = torch.cat([model(part) for part in torch.split(features, 4096)])
    model.train()
    return answer


def _held_out(count: int, folds: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """The rows that choose: one fold of the same kind as the hold-out, else random ones; none of fewer than ten."""
    numbers, sizes = np.unique(folds[folds >= 0], return_counts=True)
    for number in numbers[np.argsort(sizes, kind="stable")][len(numbers) // 2 :]:  # a fold of middling size
        held: NDArray[np.bool_] = folds == number
        if 0 < held.sum() <= count // 2:
            return held
    order = np.random.default_rng(seed).permutation(count)
    return np.asarray(np.isin(np.arange(count), order[: int(SHARE_HELD_OUT * count)]) & (count >= 10))
