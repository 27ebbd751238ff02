"""Elevation above the sea."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from satclip.downstream.contract import Labels
from satclip.downstream.labels import elevation_at, elevation_file
from satclip.downstream.tasks.loading import FromFiles, found, labelled
from satclip.downstream.tasks.sampled import packaged_map, sampled
from satclip.downstream.tasks.table import columns, numbers

# Files in the order in which they are taken: longitude, latitude and target.
FILES = {
    "elevation/labels_elevation.csv": ("Lon", "Lat", "elevation"),
    "mosaiks/mosaiks_elevation.csv.gz": ("lon", "lat", "label"),
    "elevation/elevation.csv": ("lon", "lat", "elevation"),
}
RASTER = "altitude/Altitude.h5"


@dataclass(frozen=True)
class Elevation(FromFiles):
    """Metres above the sea.

    Origin: MOSAIKS (Code Ocean capsule 6456296), in SatCLIP's Drive folder 1tI2qo6iioRrv3P1OxSXwHKObpLCrinad as
    `labels_elevation.csv`, columns elevation (m), Lat, Lon: 100,000 rows, 5 of them NaN. Stand-ins, in this order: the
    58,465 MOSAIKS places that TorchSpatial (MIT) evaluated on, `mosaiks_elevation.csv.gz`, columns lon, lat, label;
    RANGE's `elevation.csv`, columns lon, lat, elevation; the raster in the PyPI package pvlib (BSD-3, Mapzen terrain
    tiles, steps of 28 m) at `max_rows` places drawn evenly over the land, 10,000 where that is None. The log says which
    it was: scores on different ones do not compare. Cite Rolf et al. 2021, "A generalizable and accessible approach to
    machine learning with global satellite imagery", Nature Communications 12, 4392.
    """

    name: ClassVar[str] = "elevation"

    def load(self) -> Labels:
        """The places.

        Raises:
            TaskDataMissing: no file is there and pvlib is not installed.
            ValueError: a file has other columns.
        """
        path = found(self.root, *FILES)
        if path is None:
            raster = found(self.root, RASTER) or packaged_map(self.name, elevation_file)
            at = partial(elevation_at, raster)
            return sampled(self.name, at, source=str(raster), unit="m", max_rows=self.max_rows, seed=self.seed)
        names = next(names for file, names in FILES.items() if Path(file).name == path.name)
        table = columns(path, names)
        lon, lat, target = (numbers(table[name], what=f"{path}, {name}") for name in names)
        lonlat = np.stack([lon, lat], 1)
        return labelled(self.name, lonlat, target, source=str(path), unit="m", max_rows=self.max_rows, seed=self.seed)
