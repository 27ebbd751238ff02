"""The same network trained on the labels alone: what pretraining must be worth."""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.downstream.contract import Array, Target, check_taught
from satclip.downstream.rivals.frozen import NOTHING, Frozen, checked
from satclip.downstream.rivals.weights_file import drawing_from, seeded
from satclip.location.encoder import LocationEncoder

LEARNING_RATES = (1e-3, 1e-4)
BATCH, CHECKED_EVERY, PATIENCE = 128, 20, 5
TRIED = 80  # steps after which the better learning rate continues alone
MOST_CHECKED = 1000  # rows of the held-out part that a check looks at
SHARE_HELD_OUT = 0.2


class Headed(nn.Module):
    """The network of an encoder and a linear head: features [B, F] -> [B, width].

    Where the encoding has weights that learn too, it takes places in degrees, [B, 2], instead of features.
    """

    def __init__(self, config: dict[str, Any], width: int) -> None:
        super().__init__()
        self.encoder = LocationEncoder.from_config(config)
        self.head = nn.Linear(self.encoder.embedding_dim, width)

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, width]."""
        whole = self.encoder if learns(self.encoder) else self.encoder.from_features
        answer: Tensor = self.head(whole(features))
        return answer


class FromScratch:
    """An encoder's architecture and a linear head, trained together from fresh weights.

    The learning rate and the number of steps are chosen on one inner fold; then all labels are trained on with them.
    Regression minimises the squared error of the standardised target, classification the cross-entropy.

    Args:
        config: of the encoder, as `LocationEncoder.config()` gives it.
        most_steps: at most so many steps of at most 128 rows.
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
        check_taught(self.name, train_target)
        encoder = seeded(partial(LocationEncoder.from_config, self.config), self.seed)
        train, test = checked(train_lonlat), checked(test_lonlat)
        if not learns(encoder):  # its encoding has no weights: once is enough
            with torch.no_grad():
                train, test = (encoder.encoding(each, torch.float32) for each in (train, test))
        centre, spread = 0.0, 1.0
        target = torch.from_numpy(np.asarray(train_target))
        if classes is None:
            centre, spread = float(target.mean()), float(target.std(correction=0)) or 1.0
            target = ((target - centre) / spread).float()
        width = 1 if classes is None else len(classes)
        parts = self.config["network"], self.config["encoding"]
        drops = any(
            part.get(name) for part in parts for name in ("dropout", "token_dropout")
        )  # drawn from torch's own generator, step by step
        with drawing_from(self.seed) if drops else nullcontext():
            rate, steps = self._choose(train, target, width, inner_folds)
            training = self._start(width, rate, train, target)
            training.advance(steps)
            answer = training.answers(test).double().numpy()
        return np.asarray(answer[:, 0] * spread + centre if classes is None else answer)

    def _choose(self, features: Tensor, target: Tensor, width: int, folds: NDArray[np.int64]) -> tuple[float, int]:
        """The learning rate and the number of steps with the lowest loss on the held-out part."""
        held = torch.from_numpy(_held_out(len(target), folds, self.seed))
        if not held.any():  # too few labels to part with any
            return LEARNING_RATES[0], self.most_steps // 4
        watched = held.nonzero().flatten()[:MOST_CHECKED]
        seen = features[watched], target[watched]
        trials = [(self._start(width, rate, features[~held], target[~held]), rate) for rate in LEARNING_RATES]
        curves = [training.watch(min(TRIED, self.most_steps), *seen) for training, _ in trials]
        better = min(range(len(trials)), key=lambda trial: min(curves[trial]))
        training, rate = trials[better]
        curve = curves[better] + training.watch(self.most_steps - TRIED, *seen, before=curves[better])
        return rate, CHECKED_EVERY * (1 + int(np.argmin(curve)))

    def _start(self, width: int, rate: float, features: Tensor, target: Tensor) -> "Training":
        model = seeded(partial(Headed, self.config, width), self.seed)
        return Training(model, rate, features, target, torch.Generator().manual_seed(self.seed))


class Training:
    """A model on its way: AdamW over batches of 128 rows, drawn without replacement."""

    def __init__(self, model: nn.Module, rate: float, features: Tensor, target: Tensor, draw: torch.Generator) -> None:
        self.model = model
        self._steps = _steps(model, rate, features, target, draw)

    def advance(self, steps: int) -> None:
        """So many steps more."""
        for _ in zip(range(steps), self._steps, strict=False):
            pass

    def watch(self, steps: int, features: Tensor, target: Tensor, *, before: Sequence[float] = ()) -> list[float]:
        """Losses on other rows after every 20 of `steps` steps, until five in a row are no better."""
        losses: list[float] = []
        for _ in range(CHECKED_EVERY, steps + 1, CHECKED_EVERY):
            self.advance(CHECKED_EVERY)
            losses.append(float(_loss(self.answers(features), target)))
            curve = [*before, *losses]
            if len(curve) - 1 - int(np.argmin(curve)) >= PATIENCE:
                break
        return losses

    @torch.inference_mode()
    def answers(self, features: Tensor) -> Tensor:
        """[N, F] -> [N, width], without dropout."""
        self.model.eval()
        answer = torch.cat([self.model(part) for part in torch.split(features, 4096)])
        self.model.train()
        return answer


def learns(encoder: LocationEncoder) -> bool:
    """Whether the encoding has weights."""
    return any(name.startswith("encoding.") for name, _ in encoder.named_parameters())


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


def _held_out(count: int, folds: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """The rows that choose: one fold of the same kind as the hold-out, else random ones; none of fewer than ten."""
    numbers, sizes = np.unique(folds[folds >= 0], return_counts=True)
    for number in numbers[np.argsort(sizes, kind="stable")][len(numbers) // 2 :]:  # a fold of middling size
        held: NDArray[np.bool_] = folds == number
        if 0 < held.sum() <= count // 2:
            return held
    order = np.random.default_rng(seed).permutation(count)
    return np.asarray(np.isin(np.arange(count), order[: int(SHARE_HELD_OUT * count)]) & (count >= 10))
