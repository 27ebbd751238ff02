"""Air temperature and precipitation at weather stations."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import FromFiles, labelled, located
from satclip.downstream.tasks.origins import remedy
from satclip.downstream.tasks.table import columns, numbers

FILE = "stationDataAll.csv"


@dataclass(frozen=True)
class AirTemperature(FromFiles):
    """Mean air temperature of a station, degrees Celsius: 3,076 places over all continents.

    Origin: figshare ndownloader file 12609182, `stationDataAll.csv`, columns Lon, Lat (degrees), meanT (degrees C);
    the same file lies in microsoft/satclip under MIT, the figshare page has the data's own licence. Cite Hooker,
    Duveiller and Cescatti 2018, "A global dataset of air temperature derived from satellite remote sensing and weather
    stations", Scientific Data 5, 180246.
    """

    name: ClassVar[str] = "air_temperature"
    column: ClassVar[str] = "meanT"
    unit: ClassVar[str] = "°C"

    def load(self) -> Labels:
        """The stations.

        Raises:
            TaskDataMissing: the file is not there.
            ValueError: it has other columns.
        """
        path = located(self.name, self.root, f"air_temperature/{FILE}", remedy=remedy(FILE))
        table = columns(path, ("Lon", "Lat", self.column))
        lon, lat, target = (numbers(values, what=f"{path}, {name}") for name, values in table.items())
        return labelled(
            self.name,
            np.stack([lon, lat], 1),
            target,
            source=str(path),
            unit=self.unit,
            max_rows=self.max_rows,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Precipitation(AirTemperature):
    """Mean precipitation of a station, millimetres a year: column meanP of the same file, citation and licence."""

    name: ClassVar[str] = "precipitation"
    column: ClassVar[str] = "meanP"
    unit: ClassVar[str] = "mm"
