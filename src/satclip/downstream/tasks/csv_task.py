"""Any table of places with something to predict."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from satclip.columns import candidates
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import cells_for
from satclip.downstream.tasks.loading import labelled
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.table import MISSING, codes, columns, header, numbers
from satclip.sphere import check_lonlat

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
FEW = 20  # whole numbers with fewer values than this may be codes of classes


@dataclass(frozen=True)
class CsvTask:
    """One's own labels: a CSV (or tab-separated, or gzipped) file with longitude, latitude and a column to predict.

    A column of numbers is a regression, any other a classification. Rows without a value are left out and counted.

    Args:
        path: of the file; longitude and latitude in degrees.
        target: the column to predict.
        lon: the column of longitudes; by default found by its name (lon, lng, long, longitude or x), as `satclip embed`
            does.
        lat: the column of latitudes (lat, latitude or y).
        kind: "regression" or "classification" where the type of the column would choose wrongly: codes of classes.
        name: of the task; by default the file's name and the column.
        unit: of the target.
        cell_degrees: sizes of held-out cells; by default 2, 10, 20, 40, or a fortieth to a fifth of a smaller extent.
        max_rows: at most so many rows, drawn by `seed`; None for all.
        seed: of the draw.
    """

    path: str | Path
    target: str
    lon: str | None = None
    lat: str | None = None
    kind: Literal["regression", "classification"] | None = None
    name: str | None = None
    unit: str = ""
    cell_degrees: tuple[float, ...] | None = None
    max_rows: int | None = None
    seed: int = 0

    def load(self) -> Labels:
        """The places of the file.

        Raises:
            TaskDataMissing: there is no such file.
            ValueError: a column is missing or ambiguous, a row is no place, or the target is of the wrong kind.
        """
        path = Path(self.path).expanduser()
        name = self.name or f"{path.name.split('.')[0]}_{self.target}"
        if not path.is_file():
            raise TaskDataMissing(name, f"there is no file {path}; give the path of a CSV file")
        lon, lat = self._places(path)
        table = columns(path, (lon, lat, self.target))
        lonlat = np.stack([numbers(table[each], what=f"{path}, {each}") for each in (lon, lat)], 1)
        try:
            check_lonlat(torch.from_numpy(lonlat[np.isfinite(lonlat).all(1)]))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        target, classes = target_of(table[self.target], what=f"{path}, {self.target}", kind=self.kind)
        cells = tuple(self.cell_degrees) if self.cell_degrees is not None else cells_for(lonlat)
        return labelled(
            name,
            lonlat,
            target,
            source=str(path),
            classes=classes,
            unit=self.unit,
            cells=cells,
            max_rows=self.max_rows,
            seed=self.seed,
        )

    def _places(self, path: Path) -> tuple[str, str]:
        names = header(path)
        listing = f"{path} has the columns {', '.join(names)}"
        for column in (self.lon, self.lat, self.target):
            if column is not None and column not in names:
                raise ValueError(f"{listing}, and none called {column}; give lon, lat and target from these")
        lons, lats, _ = candidates(names, self.lon, self.lat)
        if len(lons) != 1 or len(lats) != 1:
            several = ", ".join([*lons, *lats])
            why = f"{several} could all be meant" if several else "none of them is named like longitude and latitude"
            raise ValueError(f"{listing}: {why}; give lon and lat")
        return lons[0], lats[0]


def target_of(
    values: list[str], *, what: str, kind: Literal["regression", "classification"] | None = None
) -> tuple[NDArray[np.float64] | NDArray[np.int64], tuple[str, ...] | None]:
    """A column of text as numbers, NaN where missing, and None; or as codes, -1 where missing, and their classes.

    Args:
        values: of the column.
        what: file and column, for messages.
        kind: what it holds; by default numbers where every value is one.

    Raises:
        ValueError: `kind` is none of the two, or a value is no number where numbers are asked for.
    """
    if kind not in (None, "regression", "classification"):
        raise ValueError(f"kind must be regression or classification, got {kind!r}")
    if kind == "classification" or (kind is None and not _all_numbers(values)):
        return codes(values)
    target = numbers(values, what=what)
    distinct = np.unique(target[np.isfinite(target)])
    if kind is None and len(distinct) < FEW and (distinct == np.round(distinct)).all():
        log.warning(
            "%s holds %d different whole numbers and is taken as a quantity; kind=classification takes them as classes",
            *(what, len(distinct)),
        )
    return target, None


def _all_numbers(values: list[str]) -> bool:
    try:
        return bool(np.isfinite(numbers([value for value in values if value.lower() not in MISSING], what="")).any())
    except ValueError:
        return False
