"""The countries and the land of the world: Natural Earth 1:110m (public domain), as pyogrio's wheel carries it."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np
from numpy.typing import NDArray

_INSIDE_PYOGRIO = "tests/fixtures/naturalearth_lowres"


@dataclass(frozen=True)
class Countries:
    """Names and outlines (shapely geometries, degrees), in Natural Earth's order."""

    names: tuple[str, ...]
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
        ModuleNotFoundError: without pyogrio, geopandas, or the shapes inside pyogrio's wheel.
    """
    try:
        import geopandas

        with as_file(files("pyogrio").joinpath(_INSIDE_PYOGRIO)) as folder:
            table = geopandas.read_file(folder / "naturalearth_lowres.shp")
    except (ImportError, FileNotFoundError) as error:
        raise ModuleNotFoundError(
            "the outlines of the land come with the packages pyogrio and geopandas: pip install 'satclip[demo]'"
        ) from error
    return Countries(tuple(table["name"]), table.geometry.to_numpy())


@lru_cache(maxsize=1)
def land() -> Any:
    """All land as one shapely MultiPolygon in degrees, inland borders dissolved."""
    import shapely

    return shapely.union_all(countries().outlines)
