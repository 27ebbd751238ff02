"""Median household income of the counties of the United States."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import DEFAULT_ROOT, Root, found, labelled
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.origins import remedy
from satclip.downstream.tasks.table import columns, numbers

Array = NDArray[np.float64]
JOINED, INCOME, COUNTIES = (
    "median_income/us_county_income.csv",
    "median_income/income.csv",
    "median_income/counties.txt",
)
CELLS = (1.0, 2.0, 5.0, 10.0)
FIELDS = 10  # of a line of the gazetteer: state, FIPS, ANSI code, name, four areas, latitude, longitude


@dataclass(frozen=True)
class MedianIncome:
    """Median household income of a county in US dollars, at the county's internal point: 3,139 counties.

    Origin: Jia and Benson 2020, "Residual correlation in graph neural network regression", KDD, arXiv 2002.08274:
    github.com/000Justin000/gnn-residual-correlation, `datasets/election/income.csv`, columns FIPS and MedianIncome2011
    to 2018 (USDA ERS from US Census SAIPE, public data; the repository has no licence file). Points: US Census
    Gazetteer 2017 (public domain), `counties.txt`, without header: state, FIPS, ..., latitude, longitude between bars.
    A file `us_county_income.csv` in which both are joined (FIPS, NAME, lon, lat, MedianIncome...) is taken first; it
    lists 3,140 counties, one of which (Kalawao, Hawaii) has no income. The held-out cells are smaller than on the
    globe: 1, 2, 5 and 10 degrees.

    Args:
        root: the folder, or folders, of the tasks.
        year: 2011 to 2018.
        max_rows: at most so many counties, drawn by `seed`; None for all.
        seed: of the draw.
    """

    root: Root = DEFAULT_ROOT
    year: int = 2016
    max_rows: int | None = None
    seed: int = 0
    name: ClassVar[str] = "median_income"

    def load(self) -> Labels:
        """The counties.

        Raises:
            TaskDataMissing: neither the joined file nor both parts are there.
            ValueError: it has no such year, or other columns.
        """
        column = f"MedianIncome{self.year}"
        path = found(self.root, JOINED)
        if path is not None:
            table = columns(path, ("lon", "lat", column))
            lon, lat, target = (numbers(values, what=f"{path}, {name}") for name, values in table.items())
            lonlat = np.stack([lon, lat], 1)
        else:
            path, counties = found(self.root, INCOME), found(self.root, COUNTIES)
            if path is None or counties is None:
                raise TaskDataMissing(self.name, remedy("income.csv", "counties.txt"))
            lonlat, target = join(path, counties, column)
        return labelled(
            self.name,
            lonlat,
            target,
            source=str(path),
            unit="USD",
            cells=CELLS,
            max_rows=self.max_rows,
            seed=self.seed,
        )


def join(income: Path, counties: Path, column: str) -> tuple[Array, Array]:
    """Points [N, 2] and incomes [N] of the counties that stand in both files; states and the nation have no point.

    Raises:
        ValueError: a file has another layout, or no county stands in both.
    """
    points: dict[int, tuple[float, float]] = {}
    for number, line in enumerate(counties.read_text(encoding="utf-8").splitlines(), 1):
        fields = line.split("|")
        try:
            if len(fields) != FIELDS:
                raise ValueError(f"{len(fields)} fields, not {FIELDS}")
            points[int(fields[1])] = (float(fields[9]), float(fields[8]))
        except ValueError as error:
            raise ValueError(f"{counties}, line {number}: {error}; fetch it again") from None
    table = columns(income, ("FIPS", column))
    codes, values = (numbers(table[name], what=f"{income}, {name}") for name in ("FIPS", column))
    rows = [row for row, code in enumerate(codes) if code in points]
    if not rows:
        raise ValueError(f"no county of {income} stands in {counties}; fetch both again")
    return np.array([points[int(codes[row])] for row in rows]), values[rows]
