"""House prices in California."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import FromFiles, labelled, located
from satclip.downstream.tasks.origins import remedy
from satclip.downstream.tasks.table import columns, numbers

FILE = "california_housing/housing.csv"
CELLS = (0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class CaliforniaHousing(FromFiles):
    """Median house value of a census block group of 1990 in 100,000 US dollars: 20,640 places.

    Origin: StatLib, after the 1990 census (public); the file read here is Kaggle's camnugent/california-housing-prices
    as in ageron/handson-ml2 (Apache-2.0), `housing.csv`, columns longitude, latitude, median_house_value. Values are
    capped at 5.00001. Cite Pace and Barry 1997, "Sparse spatial autoregressions", Statistics and Probability Letters
    33. The cells that are held out are small: 0.25, 0.5, 1 and 2 degrees.
    """

    name: ClassVar[str] = "california_housing"

    def load(self) -> Labels:
        """The block groups.

        Raises:
            TaskDataMissing: the file is not there.
            ValueError: it has other columns.
        """
        path = located(self.name, self.root, FILE, remedy=remedy("housing.csv"))
        table = columns(path, ("longitude", "latitude", "median_house_value"))
        lon, lat, value = (numbers(values, what=f"{path}, {name}") for name, values in table.items())
        return labelled(
            self.name,
            np.stack([lon, lat], 1),
            value / 1e5,
            source=str(path),
            unit="100,000 USD",
            cells=CELLS,
            max_rows=self.max_rows,
            seed=self.seed,
        )
