"""The benchmark in short, for the end of a training: few labels, none of them near, in seconds."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from satclip.downstream.benchmark.choose import Chosen
from satclip.downstream.benchmark.rows import beside
from satclip.downstream.benchmark.run import Benchmark, benchmark
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.contract import Labels, Places
from satclip.downstream.evaluate.holdouts import FOLDS
from satclip.downstream.evaluate.vectors import VectorCache
from satclip.downstream.rivals.ceiling import ImageStatistics, image_tower
from satclip.downstream.rivals.trained import placed
from satclip.location.encoder import LocationEncoder
from satclip.model import TwoTowers

log = logging.getLogger(__name__)
LABELS = (100, 300)
FEW_TESTED = 100
DRAWS = 5
UNTRAINED = "untrained"
CELLS = slice(1, 3)  # of the four sizes that a set has: 10 and 20 degrees for the whole globe


def short_benchmark(
    encoders: Mapping[str, LocationEncoder],
    tasks: Sequence[Labels],
    *,
    recipe: Mapping[str, Any],
    towers: TwoTowers | None = None,
    seed: int = 0,
) -> Benchmark:
    """What some weights of one training can predict in held-out cells from 100 and 300 labels, beside honest rivals.

    The rivals are the same network untrained (three seeds), bare harmonics whose L is chosen, inverse distances, and as
    a ceiling the image at the place.

    Args:
        encoders: weights of one training, by the name of their row; the first is what is asked about.
        tasks: labels of the same places.
        recipe: of the training, as its checkpoint has it: says what was seen.
        towers: both towers of the first encoder, whose image tower is its ceiling.
        seed: of every draw.

    Raises:
        ValueError: the places are too few for a hundred labels.
        ModuleNotFoundError: the `evaluate` extra is not installed.
    """
    if len(tasks[0].target) * (1 - 1 / FOLDS) <= LABELS[0]:
        raise ValueError(
            f"{len(tasks[0].target)} places are too few to be taught by {LABELS[0]} and tested; "
            "report.probe_places=3000 has more"
        )
    tested = len(tasks[0].target) // FOLDS
    if tested < FEW_TESTED:
        log.warning(
            "%d test places: with fewer than %d its scores are noise; report.probe_places=3000 has more",
            tested,
            FEW_TESTED,
        )
    opened = [placed(encoder, name, recipe) for name, encoder in encoders.items()]
    sizes = tasks[0].cell_degrees[CELLS]
    settings = Settings(tuple(f"cells:{size:g}" for size in sizes), LABELS, draws=DRAWS, places=None, seed=seed)
    rows = beside(opened, fresh_name=UNTRAINED, ceiling=_ceiling(towers, recipe))
    return benchmark(rows, Chosen(tuple(tasks)), settings, cache=VectorCache())


def figures(found: Benchmark, subject: str) -> dict[str, float]:
    """A subject's scores and its gains over the untrained network, by name.

    `probe/cells_10/100/elevation_R2` and `gain/cells_10/100/elevation_R2`; `probe/mean` and `gain/mean` over all tasks,
    hold-outs and label counts, which a sweep may compare.
    """
    scores = {key: found.scores[key, subject].interval.value for key in found.gains(subject)}
    gains = {key: gain.interval.value for key, (gain, _) in found.gains(subject).items() if gain is not None}
    named = {}
    for kind, values in (("probe", scores), ("gain", gains)):
        known = {key: value for key, value in values.items() if not np.isnan(value)}
        for key, value in known.items():
            named[f"{kind}/{_slug(key[1])}/{key[2]}/{_slug(key[0])}_{found.scores[key, subject].metric}"] = value
        if known:
            named[f"{kind}/mean"] = _mean(known.values())
    return named


def _ceiling(towers: TwoTowers | None, recipe: Mapping[str, Any]) -> Places | None:
    """The image tower of the same training; plain statistics where it was taught by other imagery than is at hand."""
    if towers is None:
        return None
    return image_tower(towers.vision, recipe, "ceiling: image tower") or ImageStatistics()


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _slug(words: str) -> str:
    return words.replace(" ", "_")
