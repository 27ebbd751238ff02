"""What the figures of `metrics.json` mean, in which unit, and which way is better."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Unit:
    """Of one figure.

    Attributes:
        unit: "km", "share" (0 to 1), "R2" (1 at most, below 0 worse than the mean), "1/s" or "" (a loss is nats
            where it is a cross-entropy, and something else where it is not).
        better: "lower", "higher", or "" where neither is.
        means: in words.
    """

    unit: str
    better: str
    means: str


_RULES: tuple[tuple[str, Unit], ...] = (
    (r"epoch", Unit("", "", "epoch that the weights come from, counted from 1")),
    (r"step", Unit("", "", "optimiser steps behind the weights")),
    (r".*/temperature", Unit("", "", "temperature of the contrastive loss")),
    (r".*/learning_rate", Unit("", "", "learning rate of the first group of parameters")),
    (r".*/samples_per_second", Unit("1/s", "higher", "training samples a second over all processes")),
    (r"train/loss.*", Unit("", "lower", "loss of the last training batch that was logged, in its own unit")),
    (
        r"val/loss.*",
        Unit("", "lower", "loss over the validation places, in its own unit; not comparable between losses"),
    ),
    (r"retrieval/chance/.*", Unit("", "", "what guessing would reach")),
    (r"(val|retrieval)/.*/top(\d+)", Unit("share", "higher", "the right one is among the first {1}")),
    (r"(val|retrieval)/.*/median_km", Unit("km", "lower", "median distance from the first hit to the right place")),
    (r"probe/mean", Unit("", "higher", "mean of all probe figures: R2 and accuracies alike")),
    (r"gain/mean", Unit("", "higher", "mean over all probes of the score less that of the untrained network")),
    (r"gain/.*", Unit("", "higher", "score less that of the same network untrained, where no label is near")),
    (r"probe/.*(r2|R2)", Unit("R2", "higher", "R2 in held-out cells, of a ridge on the embedding")),
    (r"probe/.*accuracy", Unit("share", "higher", "accuracy in held-out cells, of a ridge on the embedding")),
)


def unit_of(name: str) -> Unit:
    """Of `best/val/loss` and the like; of an unknown name nothing is said."""
    plain = name.removeprefix("best/").removeprefix("last/")
    for pattern, unit in _RULES:
        if found := re.fullmatch(pattern, plain):
            return Unit(unit.unit, unit.better, unit.means.replace("{1}", found.group(found.re.groups)))
    return Unit("", "", "")


def table_of(names: Iterable[str]) -> Mapping[str, dict[str, str]]:
    """The content of metrics_units.json: of each name in metrics.json."""
    return {name: asdict(unit_of(name)) for name in names}
