"""What a benchmark run does: label counts, hold-outs, draws, probe."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.answers import Answer, Candidate, Goal
from satclip.downstream.evaluate.continents import continent_names, continent_of
from satclip.downstream.evaluate.holdouts import (
    Draw,
    buffer_draws,
    cell_draws,
    fixed_draws,
    keyed,
    middle_cells,
    part_draws,
    random_draws,
)
from satclip.downstream.evaluate.inner_folds import InnerFolds
from satclip.downstream.evaluate.ridge_probe import RidgeProbe

log = logging.getLogger(__name__)
HOLDOUTS = ("random", "cells", "continents", "buffers", "fixed")
FEWEST_LABELS = 4  # of which inner folds can be made
LABELS = (30, 100, 300, 1000, 3000, None)
GLOBAL_BUFFERS_KM = (0.0, 100.0, 200.0, 400.0, 800.0)
REGIONAL_BUFFERS_KM = (0.0, 5.0, 10.0, 25.0, 50.0)
_REGIONAL_DEGREES = 5.0  # a set whose largest cells are smaller is regional


class Probe(Protocol):
    """Reads labels off vectors, for several tasks on the same places; see `RidgeProbe.answers`."""

    @property
    def name(self) -> str:
        """For the records."""
        ...

    def answers(
        self,
        candidates: Sequence[Candidate],
        goals: Sequence[Goal],
        train: NDArray[np.int64],
        test: NDArray[np.int64],
        inner: InnerFolds,
    ) -> list[Answer]:
        """One answer per goal."""
        ...


@dataclass(frozen=True)
class Plan:
    """A benchmark run.

    Attributes:
        labels: label counts, ascending; None is all of them. A count that a pool does not exceed is left to None.
        holdouts: some of HOLDOUTS.
        cells: sizes in degrees that "cells" holds out; "all" are those of the task, "middle" is one of them (10 degrees
            for a global set).
        draws: per hold-out; five of them test every place once.
        probe: reads the labels off the vectors.
        inner_folds: by which it chooses.
        places: of a larger set so many are drawn; None takes all.
        seed: of every draw.
        buffers_km: exclusion radii; None: 0 to 800 km, or 0 to 50 km for a regional set.
        workers: draws that are worked on at the same time, each on one core.

    Raises:
        ValueError: for a hold-out that does not exist, or numbers that make no sense.
    """

    labels: tuple[int | None, ...] = LABELS
    holdouts: tuple[str, ...] = HOLDOUTS
    cells: tuple[float, ...] | Literal["all", "middle"] = "all"
    draws: int = 10
    probe: Probe = field(default_factory=RidgeProbe)
    inner_folds: int = 3
    places: int | None = 10_000
    seed: int = 0
    buffers_km: tuple[float, ...] | None = None
    workers: int = 2

    def __post_init__(self) -> None:
        unknown = set(self.holdouts) - set(HOLDOUTS)
        if unknown:
            raise ValueError(f"no such hold-out: {', '.join(sorted(unknown))}; there are {', '.join(HOLDOUTS)}")
        if self.draws < 1 or self.workers < 1 or self.inner_folds < 2:
            raise ValueError(
                "draws and workers must be 1 or more and inner_folds 2 or more, got "
                f"{self.draws}, {self.workers}, {self.inner_folds}"
            )
        if not isinstance(self.cells, str) and not all(0 < size <= 90 for size in self.cells):
            raise ValueError(f"cells must be more than 0 and at most 90 degrees, got {self.cells}")
        few = [count for count in self.labels if count is not None and count < FEWEST_LABELS]
        if few or not self.labels:
            raise ValueError(f"label counts must be {FEWEST_LABELS} or more, or all of them, got {self.labels}")

    def sample(self, labels: Labels) -> Labels:
        """At most `places` of a set, drawn by the seed and the places alone, in their own order."""
        if self.places is None or len(labels.target) <= self.places:
            return labels
        rows = keyed(self.seed, "places", len(labels.target)).permutation(len(labels.target))[: self.places]
        return labels.take(np.sort(rows))

    def draws_of(self, labels: Labels) -> Iterator[Draw]:
        """Every draw of a set, hold-out by hold-out; what the set or the installation does not allow is logged."""
        if "random" in self.holdouts:
            yield from random_draws(labels, self.draws, self.seed)
        if "cells" in self.holdouts:
            for degrees in self._cells_of(labels):
                try:
                    yield from cell_draws(labels, degrees, self.draws, self.seed)
                except ValueError as error:
                    log.warning("skipping cells of %g degrees: %s", degrees, error)
        if "continents" in self.holdouts and not _regional(labels):
            try:
                yield from part_draws(labels, continent_of(labels.lonlat), continent_names(), self.draws, self.seed)
            except ModuleNotFoundError as error:
                log.warning("skipping continents: %s", error)
        if "buffers" in self.holdouts:
            default = REGIONAL_BUFFERS_KM if _regional(labels) else GLOBAL_BUFFERS_KM
            yield from buffer_draws(labels, self.buffers_km or default, self.draws, self.seed)
        if "fixed" in self.holdouts:
            yield from fixed_draws(labels, self.draws, self.seed)

    def _cells_of(self, labels: Labels) -> tuple[float, ...]:
        if self.cells == "middle":
            return (middle_cells(labels),)
        return labels.cell_degrees if self.cells == "all" else self.cells

    def counts_of(self, draw: Draw) -> Iterator[tuple[str, int]]:
        """Label counts of a draw, as asked and as given; a buffer and its control are asked for all labels only."""
        for count in self.labels:
            if count is not None and draw.buffer_km is None and count < len(draw.pool) and "buffer" not in draw.holdout:
                yield str(count), count
            elif count is None and not draw.repeated:
                yield "all", len(draw.pool)


def _regional(labels: Labels) -> bool:
    return max(labels.cell_degrees) < _REGIONAL_DEGREES
