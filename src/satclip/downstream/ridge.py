"""Ridge regression for many targets and many penalties at the price of one eigendecomposition."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Relative to features of unit variance and to one place, so they suit any number of either.
PENALTIES = tuple(10.0 ** (step / 2) for step in range(-14, 3))


@dataclass(frozen=True)
class Ridge:
    """Standardised features, rotated to where their covariance is diagonal.

    The intercept is not penalised. Any penalty's prediction is two small products away.
    """

    mean: Tensor
    rotation: Tensor  # [F, F], from centred features to principal axes, with the scaling to unit variance
    variance: Tensor  # [F], along the axes
    target_mean: Tensor
    cross: Tensor  # [F, K], covariance of axes and targets

    @classmethod
    def fit(cls, features: Tensor, targets: Tensor) -> "Ridge":
        """Prepare for features [N, F] and targets [N, K], both float64."""
        mean, target_mean = features.mean(0), targets.mean(0)
        centred = features - mean
        scale = centred.square().mean(0).sqrt()
        scale = torch.where(scale > 1e-12 * (1 + mean.abs()), scale, torch.inf)  # a constant feature says nothing
        centred = centred / scale
        variance, axes = torch.linalg.eigh(centred.T @ centred / len(features))
        cross = axes.T @ (centred.T @ (targets - target_mean)) / len(features)
        return cls(mean, axes / scale[:, None], variance.clamp_min(0), target_mean, cross)

    def project(self, features: Tensor) -> Tensor:
        """Features along the axes, to be predicted from under several penalties: [M, F] -> [M, F]."""
        return (features - self.mean) @ self.rotation

    def predict(self, projected: Tensor, penalty: float, targets: slice = slice(None)) -> Tensor:
        """Predictions of some of the targets: [M, F] -> [M, K]."""
        weights = self.cross[:, targets] / (self.variance + penalty)[:, None]
        return projected @ weights + self.target_mean[targets]


def r_squared(predicted: Tensor, truth: Tensor) -> float:
    """One minus the squared error over that of the best constant: [M, 1], [M] -> a number of at most 1."""
    error = (truth - predicted[:, 0]).square().sum()
    return float(1 - error / (truth - truth.mean()).square().sum())


def accuracy(predicted: Tensor, truth: Tensor) -> float:
    """The fraction of rows whose largest entry is at the true class: [M, K], [M] -> 0 to 1."""
    return float((predicted.argmax(1) == truth).double().mean())


def probe(features: Tensor, labels: list[Tensor], test: Tensor, held: Tensor) -> list[float]:
    """Score a linear probe of several tasks on places it was not trained on.

    The penalty of each task is chosen where `held` is true, from a fit on the rest of the training places, then the
    probe is fitted again on all of them.

    Args:
        features: float64 [N, F].
        labels: per task, float64 [N] (scored by R2) or int64 [N] (one-hot least squares, scored by accuracy).
        test: bool [N], the places to be scored on.
        held: bool [N], which of the others choose the penalty.

    Raises:
        ValueError: when one of the three parts is empty, or a feature is not finite.
    """
    train = ~test
    parts = {"test": test, "penalty": train & held, "fit": train & ~held}
    empty = [name for name, part in parts.items() if not part.any()]
    if empty:
        raise ValueError(f"no probe places fall in the {' and '.join(empty)} part; give the probe more places")
    if not features.isfinite().all():
        raise ValueError("the features to probe have NaN or infinite values: the training diverged; lower optimizer.lr")
    columns = [_columns(label) for label in labels]
    targets = torch.cat(columns, dim=1)
    ends = torch.tensor([column.shape[1] for column in columns]).cumsum(0).tolist()
    spans = [slice(end - column.shape[1], end) for end, column in zip(ends, columns, strict=True)]
    scores: list[Callable[[Tensor, Tensor], float]] = [r_squared if y.is_floating_point() else accuracy for y in labels]

    trial = Ridge.fit(features[parts["fit"]], targets[parts["fit"]])
    projected = trial.project(features[parts["penalty"]])
    penalties = [
        max(PENALTIES, key=lambda penalty: score(trial.predict(projected, penalty, span), label[parts["penalty"]]))
        for score, span, label in zip(scores, spans, labels, strict=True)
    ]
    final = Ridge.fit(features[train], targets[train])
    projected = final.project(features[test])
    return [
        score(final.predict(projected, penalty, span), label[test])
        for score, span, label, penalty in zip(scores, spans, labels, penalties, strict=True)
    ]


def _columns(labels: Tensor) -> Tensor:
    """Numbers as they are, classes as one-hot columns: [N] -> [N, K]."""
    return labels[:, None] if labels.is_floating_point() else F.one_hot(labels).double()
