"""What the benchmark asks of a task, an encoder and a method: three shapes, no base class.

Places are float64 [N, 2] of (longitude, latitude) in degrees everywhere.
"""

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Target = NDArray[np.float64] | NDArray[np.int64]

GLOBAL_CELLS = (2.0, 10.0, 20.0, 40.0)


@dataclass(frozen=True)
class Labels:
    """A labelled set of places.

    Attributes:
        name: for tables and file names, "air_temperature".
        lonlat: longitude and latitude in degrees, float64 [N, 2].
        target: float64 [N] for a regression, int64 codes into `classes` [N] for a classification.
        classes: names of the classes; None for a regression.
        unit: of the target, for axes.
        cell_degrees: sizes of the held-out cells that make sense for the set's extent (California: 0.25, 0.5, 1, 2).
        fixed_split: True where a place belongs to the test part of a split that comes with the set, bool [N].
        fixed_name: of that hold-out, for tables.
        fixed_degrees: side of the cells that it holds out whole; None where it holds out single places.

    Raises:
        ValueError: when lengths differ, a place is none, a number is not finite or a code names no class.
    """

    name: str
    lonlat: Array
    target: Target
    classes: tuple[str, ...] | None = None
    unit: str = ""
    cell_degrees: tuple[float, ...] = GLOBAL_CELLS
    fixed_split: NDArray[np.bool_] | None = None
    fixed_name: str = "fixed"
    fixed_degrees: float | None = None

    def __post_init__(self) -> None:
        if self.lonlat.ndim != 2 or self.lonlat.shape[1] != 2 or self.target.shape != self.lonlat.shape[:1]:
            raise ValueError(
                f"{self.name}: lonlat must be [N, 2] and target [N], got {self.lonlat.shape} and {self.target.shape}"
            )
        if self.fixed_split is not None and self.fixed_split.shape != self.target.shape:
            raise ValueError(f"{self.name}: fixed_split must be [N], got {self.fixed_split.shape}")
        if not self.cell_degrees or not all(0 < size <= 90 for size in self.cell_degrees):
            raise ValueError(
                f"{self.name}: held-out cells must be more than 0 and at most 90 degrees, got {self.cell_degrees}; "
                "give sizes such as 2 and 10"
            )
        longitude, latitude = self.lonlat.T
        bad = ~((longitude >= -180) & (longitude <= 360) & (np.abs(latitude) <= 90))
        _refuse(self.name, bad, "are no (longitude, latitude) in degrees; drop or mend them")
        if self.classes is None:
            _refuse(self.name, ~np.isfinite(self.target), "have a NaN or infinite target; drop them")
        elif not np.issubdtype(self.target.dtype, np.integer):
            raise ValueError(f"{self.name}: a classification needs integer codes, got {self.target.dtype}")
        else:
            outside = (self.target < 0) | (self.target >= len(self.classes))
            _refuse(self.name, outside, f"have a code outside 0 .. {len(self.classes) - 1}; drop them")

    def take(self, rows: NDArray[np.int64]) -> "Labels":
        """The same task on some of its places."""
        split = None if self.fixed_split is None else self.fixed_split[rows]
        return replace(self, lonlat=self.lonlat[rows], target=self.target[rows], fixed_split=split)


class Places(Protocol):
    """An encoder for the benchmark: places in degrees [N, 2] -> one vector each [N, D].

    The same places give the same vectors, whatever else is asked at the same time: the benchmark embeds once per set.

    Attributes:
        name: the row's name in every table.
        seen: what its pretraining saw: "nothing", "whole globe", "held-out blocks left out (inductive)", "unknown".

    Optional attributes, for the penalties that know the order of the columns:
        blocks: tuple[int, ...], the nested widths of ordered scales, ascending, the last one D ((64, 128, 256)).
        degrees: int64 [D], the spherical-harmonic degree of each column.
        fingerprint: str, names weights and config; with it, vectors may be kept on disk from run to run.
    """

    @property
    def name(self) -> str:
        """The row's name in every table."""
        ...

    @property
    def seen(self) -> str:
        """What was seen before the labels."""
        ...

    def __call__(self, lonlat: Array) -> NDArray[np.floating]:
        """Vectors of places in degrees: [N, 2] -> [N, D]."""
        ...


@runtime_checkable
class Group(Protocol):
    """Several encoders, of which the inner folds choose one (an L, a bandwidth): one row of a table."""

    @property
    def name(self) -> str:
        """The row's name in every table."""
        ...

    @property
    def seen(self) -> str:
        """What was seen before the labels."""
        ...

    @property
    def candidates(self) -> tuple[Places, ...]:
        """To choose among, at least one."""
        ...


@runtime_checkable
class Predictor(Protocol):
    """A method that is no fixed feature map: it is given the labels and answers for the test places.

    Attributes:
        name: the row's name in every table.
        seen: as for an encoder; "nothing" for interpolation and for networks trained on the labels alone.
    """

    @property
    def name(self) -> str:
        """The row's name in every table."""
        ...

    @property
    def seen(self) -> str:
        """What was seen before the labels."""
        ...

    def fit_predict(
        self,
        train_lonlat: Array,
        train_target: Target,
        test_lonlat: Array,
        classes: tuple[str, ...] | None,
        inner_folds: NDArray[np.int64],
    ) -> Array:
        """Learn from labelled places, answer for others.

        Args:
            train_lonlat: degrees, [N, 2].
            train_target: float64 [N], or int64 codes [N] where `classes` is given.
            test_lonlat: degrees, [M, 2].
            classes: names of the classes, C of them; None for a regression.
            inner_folds: int64 [N]; rows of one number are held out together when something has to be chosen. They are
                of the same kind as the hold-out that will be tested (random rows, or whole cells); -1 is never held
                out. There may be a single fold number, where there is nothing to choose by.

        Returns:
            Float64 [M] for a regression, scores [M, C] for a classification, whose largest entry is the answer.
        """
        ...


def check_taught(name: str, train_target: Target) -> None:
    """Refuse to predict from nothing: the first line of every `fit_predict`.

    Raises:
        ValueError: there are no labels.
    """
    if not len(train_target):
        raise ValueError(f"{name} needs labels, got none; give places with labels")


def _refuse(name: str, bad: NDArray[np.bool_], what: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        first = ", ".join(map(str, rows[:5])) + (" ..." if len(rows) > 5 else "")
        raise ValueError(f"{name}: {len(rows)} of {len(bad)} rows {what} (rows {first})")


Encoder = Places | Group | Predictor
