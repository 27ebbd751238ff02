"""Any table of places with something to predict."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from satclip.columns import candidates, meant
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import cells_for
from satclip.downstream.tasks.loading import labelled
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.table import columns, header, numbers
from satclip.downstream.tasks.target import Kind, refuse_coordinate, target_of
from satclip.sphere import RADIANS, bad_lonlat, in_radians

log = logging.getLogger(__name__)


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
    kind: Kind = None
    name: str | None = None
    unit: str = ""
    cell_degrees: float | Sequence[float] | None = None
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
        _check_places(path, lonlat)
        target, classes = target_of(table[self.target], what=f"{path}, {self.target}", kind=self.kind)
        cells = cells_for(lonlat) if self.cell_degrees is None else _sizes(self.cell_degrees)
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
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{path} has two columns called {', '.join(twice)}; rename one")
        listing = f"{path} has the columns {', '.join(names)}"
        for column in (self.lon, self.lat, self.target):
            if column is not None and column not in names:
                near = meant(column, names) or "; give lon, lat and target from these"
                raise ValueError(f"{listing}, and none called {column}{near}")
        lons, lats, _ = candidates(names, self.lon, self.lat)
        if len(lons) != 1 or len(lats) != 1:
            several = ", ".join([*lons, *lats])
            why = f"{several} could all be meant" if several else "none of them is named like longitude and latitude"
            raise ValueError(f"{listing}: {why}; give lon and lat")
        refuse_coordinate(self.target, names, self.lon, self.lat, what=str(path))
        return lons[0], lats[0]


def _sizes(degrees: float | Sequence[float]) -> tuple[float, ...]:
    """One size of cells or several.

    Raises:
        ValueError: they are no numbers.
    """
    several = [degrees] if isinstance(degrees, int | float | str) else degrees
    try:
        return tuple(float(size) for size in several)
    except (TypeError, ValueError) as error:
        raise ValueError(f"cell_degrees must be degrees, got {degrees!r}; give [2,10], or null") from error


def _check_places(path: Path, lonlat: NDArray[np.float64]) -> None:
    """Refuse coordinates that are none; those that are missing (NaN) are left out later, and counted.

    Raises:
        ValueError: names the first row of the data, counted from 1, and what may be wrong.
    """
    places = torch.from_numpy(lonlat)
    wrong = bad_lonlat(places) & places.isfinite().all(1)
    if wrong.any():
        row, all_of_them = int(wrong.int().argmax()), places[places.isfinite().all(1)]
        remedy = "mend these rows, or take them out"
        if not bad_lonlat(all_of_them.flip(1)).any():
            remedy = "the columns look like (latitude, longitude): exchange lon and lat"
        raise ValueError(
            f"{path}: {int(wrong.sum())} of {len(places)} rows are not (longitude, latitude) in degrees, the first "
            f"row {row + 1} of the data: ({places[row, 0]:g}, {places[row, 1]:g}); {remedy}"
        )
    if in_radians(places):
        log.warning("%s: %s", path, RADIANS)
