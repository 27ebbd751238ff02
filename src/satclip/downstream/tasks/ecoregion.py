"""Biomes and ecoregions."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import FromFiles, found, labelled, located
from satclip.downstream.tasks.origins import remedy
from satclip.downstream.tasks.table import codes, columns, numbers

OFFICIAL = "ecoregion/lat_lon_ecoregion.csv"
PARTS = ("ecoregion/ecoregion_train.csv", "ecoregion/ecoregion_val.csv")
OCEAN = ("-1", "-1.0")


@dataclass(frozen=True)
class Ecoregion(FromFiles):
    """The ecoregion, one of some 800 classes: 32,798 places on land.

    Origin: Ecoregions 2017 (Dinerstein et al. 2017, "An ecoregion-based approach to protecting half the terrestrial
    realm", BioScience 67(6); ecoregions.appspot.com, CC BY 4.0), sampled in SatCLIP's Drive folder
    1tI2qo6iioRrv3P1OxSXwHKObpLCrinad, `lat_lon_ecoregion.csv`, columns lat, lon, ecoregion_class_index,
    biome_class_index, where -1 is the ocean and is left out. Or RANGE's `ecoregion_train.csv` and `ecoregion_val.csv`,
    columns X (longitude), Y (latitude), BIOME_NAME, ECO_NAME, which are put together.
    """

    name: ClassVar[str] = "ecoregion"
    index: ClassVar[str] = "ecoregion_class_index"
    label: ClassVar[str] = "ECO_NAME"

    def load(self) -> Labels:
        """The places on land.

        Raises:
            TaskDataMissing: the file is not there, or one of RANGE's two.
            ValueError: it has other columns.
        """
        path = found(self.root, OFFICIAL)
        if path is not None:
            paths, names = [path], ("lon", "lat", self.index)
        else:
            need = remedy("lat_lon_ecoregion.csv")
            paths = [located(self.name, self.root, part, remedy=need) for part in PARTS]
            names = ("X", "Y", self.label)
        lonlat, values = _read(paths, names)
        target, classes = codes(["" if value in OCEAN else value for value in values])
        return labelled(
            self.name,
            lonlat,
            target,
            source=", ".join(map(str, paths)),
            classes=classes,
            max_rows=self.max_rows,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Biome(Ecoregion):
    """The biome, one of 14 classes: another column of the same file, with its origin, citation and licence."""

    name: ClassVar[str] = "biome"
    index: ClassVar[str] = "biome_class_index"
    label: ClassVar[str] = "BIOME_NAME"


def _read(paths: list[Path], names: tuple[str, str, str]) -> tuple[NDArray[np.float64], list[str]]:
    places, values = [], []
    for path in paths:
        table = columns(path, names)
        lon, lat = (numbers(table[name], what=f"{path}, {name}") for name in names[:2])
        places.append(np.stack([lon, lat], 1))
        values += table[names[2]]
    return np.concatenate(places), values
