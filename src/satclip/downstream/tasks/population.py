"""Population density."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import FromFiles, labelled, located
from satclip.downstream.tasks.origins import remedy
from satclip.downstream.tasks.table import columns, numbers

OFFICIAL = "population/labels_population.csv"
# Longitude, latitude and target; whether the target is a logarithm already.
FILES = {
    OFFICIAL: (("Lon", "Lat", "log_population"), True),
    "mosaiks/mosaiks_population.csv.gz": (("lon", "lat", "label"), True),
    "population/population.csv": (("lon", "lat", "population"), False),
}


@dataclass(frozen=True)
class Population(FromFiles):
    """log(1 + people per square kilometre).

    Origin: MOSAIKS (Code Ocean capsule 6456296), in SatCLIP's Drive folder 1tI2qo6iioRrv3P1OxSXwHKObpLCrinad as
    `labels_population.csv`, columns log_population, Lat, Lon: 74,512 rows. Stand-ins: the 49,960 MOSAIKS places that
    TorchSpatial (MIT) evaluated on, `mosaiks_population.csv.gz`, columns lon, lat, label; RANGE's `population.csv`,
    columns lon, lat, population, of which log(1 + p) is taken. The log says which it was. Cite Rolf et al. 2021, Nature
    Communications 12, 4392 (MOSAIKS), after the Gridded Population of the World (CIESIN).
    """

    name: ClassVar[str] = "population"

    def load(self) -> Labels:
        """The places.

        Raises:
            TaskDataMissing: no file is there.
            ValueError: it has other columns, or people less than none.
        """
        path = located(self.name, self.root, *FILES, remedy=remedy("labels_population.csv"))
        names, logarithm = next(entry for file, entry in FILES.items() if Path(file).name == path.name)
        table = columns(path, names)
        lon, lat, target = (numbers(table[name], what=f"{path}, {name}") for name in names)
        if not logarithm:
            if (target < 0).any():
                raise ValueError(f"{path} has negative numbers of people; fetch it again")
            target = np.log1p(target)
        lonlat = np.stack([lon, lat], 1)
        unit = "log(1 + people/km²)"
        return labelled(self.name, lonlat, target, source=str(path), unit=unit, max_rows=self.max_rows, seed=self.seed)
