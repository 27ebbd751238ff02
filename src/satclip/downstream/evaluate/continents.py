"""The continent of each place: Natural Earth 1:110m (public domain), as pyogrio's wheel carries it."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.geography.countries import countries

NEAR_DEGREES = 5.0  # islands and coasts that 1:110m leaves out belong to the nearest outline within so much
_NO_CONTINENT = "Seven seas (open ocean)"


@lru_cache(maxsize=1)
def continent_names() -> tuple[str, ...]:
    """In alphabetical order.

    Raises:
        ModuleNotFoundError: without the outlines; ends with what to install.
    """
    return tuple(sorted(set(countries().continents) - {_NO_CONTINENT}))


def continent_of(lonlat: Array) -> NDArray[np.int64]:
    """Codes into `continent_names()`, -1 in the open sea: degrees [N, 2] -> [N].

    Natural Earth counts all of Russia as Europe and Greenland as North America.

    Raises:
        ModuleNotFoundError: without the outlines; ends with what to install.
    """
    import shapely

    world = countries()
    names = continent_names()
    codes = np.array([names.index(name) if name in names else -1 for name in world.continents], dtype=np.int64)
    longitude = (lonlat[:, 0] + 180) % 360 - 180
    points = shapely.points(np.column_stack((longitude, lonlat[:, 1])))
    tree = shapely.STRtree(world.outlines)
    place, country = tree.query_nearest(points, max_distance=NEAR_DEGREES, all_matches=False)
    found = np.full(len(lonlat), -1, dtype=np.int64)
    found[place] = codes[country]
    return found
