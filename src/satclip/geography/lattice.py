"""Fibonacci lattices: places that lie evenly over the sphere, or over its land."""

import json
import math
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from satclip.geography.countries import FILE

Array = NDArray[np.float64]

GOLDEN = (1 + math.sqrt(5)) / 2
SOUTH = -60.0  # degrees; all land beyond is Antarctica
LAND_SHARE = 0.265  # of the sphere, without Antarctica: where the search for the right lattice begins


def fibonacci(count: int) -> Array:
    """`count` places in degrees, float64 [count, 2], from the north to the south.

    Place i has longitude 360 i / golden and sin(latitude) = 1 - (2 i + 1) / count (Gonzalez 2010, Math. Geosci. 42).
    """
    numbers = np.arange(count)
    longitude = (360 * (numbers / GOLDEN % 1) + 180) % 360 - 180
    return np.stack((longitude, np.degrees(np.arcsin(1 - (2 * numbers + 1) / count))), 1)


@lru_cache(maxsize=4)
def land_lattice(count: int) -> Array:
    """`count` places of a lattice on land without Antarctica, float64 [count, 2] in degrees, in mixed order.

    The lattice is the coarsest of those tried that has as many on land; of what it has more, some are left out.

    Raises:
        ValueError: `count` is below 1.
    """
    if count < 1:
        raise ValueError(f"a lattice needs a place at least, got {count}")
    size = max(8, round(count / LAND_SHARE))
    while len(places := _on_land(fibonacci(size))) < count:
        size += max(1, math.ceil((count - len(places)) / LAND_SHARE / 2))
    chosen: Array = np.random.default_rng(0).permutation(places)[:count]
    chosen.setflags(write=False)  # it is kept
    return chosen


def _on_land(lonlat: Array) -> Array:
    """Those of the places that lie within the outline of a country, by the even-odd rule; without shapely."""
    north = lonlat[lonlat[:, 1] > SOUTH]
    longitude, latitude = north.T
    inside = np.zeros(len(north), dtype=bool)
    for ring in _rings():
        low, high = ring.min(0), ring.max(0)
        near = np.flatnonzero(((north >= low) & (north <= high)).all(1))
        x, y = longitude[near, None], latitude[near, None]
        (x0, y0), (x1, y1) = ring[:-1].T, ring[1:].T
        crossed = (y0 > y) != (y1 > y)
        with np.errstate(divide="ignore", invalid="ignore"):  # level edges are never crossed
            east = x < (x1 - x0) * (y - y0) / (y1 - y0) + x0
        inside[near] ^= ((crossed & east).sum(1) % 2).astype(bool)
    return north[inside]


@lru_cache(maxsize=1)
def _rings() -> tuple[Array, ...]:
    """Outer and inner rings of all countries, [points, 2] each, the last point the first."""
    features = json.loads((files("satclip.geography") / FILE).read_text(encoding="utf-8"))["features"]
    found = []
    for geometry in (feature["geometry"] for feature in features):
        polygons = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry["coordinates"]
        found += [np.array(ring) for polygon in polygons for ring in polygon]
    return tuple(found)
