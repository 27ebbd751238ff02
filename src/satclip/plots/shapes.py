"""The countries and the land of the world: Natural Earth 1:110m (public domain), as pyogrio's wheel carries it."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INSIDE_PYOGRIO = "tests/fixtures/naturalearth_lowres/naturalearth_lowres.shp"


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


@lru_cache(maxsize=1)
def countries() -> Countries:
    """The 177 countries of Natural Earth 1:110m.

    Raises:
        ModuleNotFoundError: without pyogrio and geopandas, or without the shapes inside pyogrio's wheel.
    """
    wheel = find_spec("pyogrio")  # found, not imported: geopandas below imports it
    folders = wheel.submodule_search_locations or () if wheel else ()
    files = [Path(folder, _INSIDE_PYOGRIO) for folder in folders if Path(folder, _INSIDE_PYOGRIO).is_file()]
    if not files or find_spec("geopandas") is None:
        raise ModuleNotFoundError(
            "the outlines of the land come with the packages geopandas and pyogrio (its wheel, 0.10 or newer): "
            "pip install 'satclip[demo]'"
        )
    return read_countries(files[0])


def read_countries(path: Path) -> Countries:
    """The countries in a file of Natural Earth's layout: polygons in degrees with a column `name`."""
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
