"""The countries and the land of the world: Natural Earth 1:110m, public domain, carried in this package.

The file beside this one is Natural Earth's admin-0 countries (naturalearthdata.com) with three of their attributes and
coordinates rounded to 1e-6 degrees, a tenth of a metre.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satclip.optional_import import require

FILE = "natural_earth_110m.geojson"


@dataclass(frozen=True)
class Countries:
    """Names, continents and outlines (shapely geometries, degrees), in Natural Earth's order."""

    names: tuple[str, ...]
    continents: tuple[str, ...]
    outlines: NDArray[np.object_]

    def index(self, lonlat: NDArray[np.float64]) -> NDArray[np.int64]:
        """The country each place lies in, -1 at sea: degrees [N, 2] -> [N]. On a shared border the first counts."""
        import shapely

        place, country = shapely.STRtree(self.outlines).query(shapely.points(lonlat), predicate="intersects")
        found = np.full(len(lonlat), len(self.names), dtype=np.int64)
        np.minimum.at(found, place, country)
        return np.where(found == len(self.names), -1, found)

    def nearest_continent(self, lonlat: NDArray[np.float64]) -> list[str]:
        """The continent each place lies on, at sea the one of the nearest country: degrees [N, 2] -> N names."""
        import shapely

        nearest = shapely.STRtree(self.outlines).nearest(shapely.points(lonlat))
        return [self.continents[country] for country in nearest]


@lru_cache(maxsize=1)
def countries() -> Countries:
    """The 177 countries of Natural Earth 1:110m.

    Raises:
        ModuleNotFoundError: without shapely.
    """
    require("train", "shapely")
    import shapely

    features = json.loads((files("satclip.geography") / FILE).read_text(encoding="utf-8"))["features"]
    about = [feature["properties"] for feature in features]
    outlines = np.array([shapely.geometry.shape(feature["geometry"]) for feature in features], dtype=object)
    return Countries(tuple(each["name"] for each in about), tuple(each["continent"] for each in about), outlines)


def read_countries(path: Path) -> Countries:
    """The countries in a file of Natural Earth's layout: polygons in degrees with a column `name`.

    Raises:
        ModuleNotFoundError: without geopandas.
    """
    import geopandas

    table = geopandas.read_file(path)
    return Countries(tuple(table["name"]), tuple(table["continent"]), table.geometry.to_numpy())


def land(central_meridian: float = 0.0) -> Any:
    """All land as one shapely MultiPolygon, inland borders dissolved.

    Longitudes are counted from `central_meridian`, -180 to 180, and shapes are cut where that map ends.
    """
    import shapely
    from shapely.affinity import translate

    whole = shapely.union_all(countries().outlines)
    cut = central_meridian - 180  # parts west of it move to the eastern edge
    east = translate(shapely.intersection(whole, shapely.box(cut, -90, 180, 90)), -central_meridian)
    west = translate(shapely.intersection(whole, shapely.box(-180, -90, cut, 90)), 360 - central_meridian)
    return shapely.union_all([east, west])
