"""Coasts, borders and land of Natural Earth 1:50m, public domain, carried in this package: for maps of regions.

The file beside this one is written by scripts/write_outlines.py. Its points lie on a lattice of 0.0036 by 0.0017
degrees, 400 m, and the scale of its source shows features from some 2 km on.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satclip.optional_import import require

FILE = "natural_earth_50m.npz"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Outlines:
    """Lines of the world, [points, 2] each in degrees, and its land. Across the date line longitudes run on beyond 180.

    Attributes:
        coasts: shores of seas and lakes.
        borders: between two countries.
        land: shapely polygons.
    """

    coasts: tuple[Array, ...]
    borders: tuple[Array, ...]
    land: NDArray[np.object_]

    def land_within(self, middle: float, west: float, south: float, east: float, north: float) -> Any:
        """The land between two meridians and two parallels, as one shape of shapely.

        Longitudes, also those of the result, are counted from the meridian `middle`: from -180 to 180.
        """
        import shapely

        box = shapely.box(west, south, east, north)
        parts = []
        for turn in (-360.0, 0.0, 360.0):
            here = _near(self.land, box, turn - middle)
            parts += list(shapely.intersection(shapely.transform(here, _shift(turn - middle)), box))
        return shapely.union_all(parts)

    def lines_within(
        self, lines: tuple[Array, ...], middle: float, west: float, south: float, east: float, north: float
    ) -> list[Array]:
        """Those of `lines` between two meridians and two parallels, cut there; longitudes from `middle`."""
        import shapely

        box = shapely.box(west, south, east, north)
        shapes = np.array([shapely.linestrings(line) for line in lines], dtype=object)
        found: list[Array] = []
        for turn in (-360.0, 0.0, 360.0):
            here = _near(shapes, box, turn - middle)
            cut = shapely.intersection(shapely.transform(here, _shift(turn - middle)), box)
            parts = shapely.get_parts(shapely.get_parts(cut))
            found += [np.asarray(part.coords) for part in parts if part.geom_type == "LineString" and len(part.coords)]
        return found


@lru_cache(maxsize=1)
def outlines() -> Outlines:
    """The outlines of the whole world.

    Raises:
        ModuleNotFoundError: without shapely.
    """
    require("cli", "shapely")
    import shapely

    with (files("satclip.geography") / FILE).open("rb") as file, np.load(file) as stored:
        table = {name: stored[name] for name in stored.files}
    arcs = _arcs(table)
    shared = table["countries"] > 1
    coasts = tuple(arc for arc, border in zip(arcs, shared, strict=True) if not border)
    borders = tuple(arc for arc, border in zip(arcs, shared, strict=True) if border)
    rings = [_ring(arcs, numbers) for numbers in _split(table["ring_arcs"], table["ring_lengths"])]
    polygons = [
        shapely.polygons(rings[numbers[0]], [rings[hole] for hole in numbers[1:]] or None)
        for numbers in _split(np.arange(len(rings)), table["polygon_lengths"])
    ]
    return Outlines(coasts, borders, shapely.make_valid(np.array(polygons, dtype=object)))


def _near(shapes: NDArray[np.object_], box: Any, shift: float) -> NDArray[np.object_]:
    """The shapes whose bounds, moved east by `shift`, meet the box."""
    import shapely

    west, south, east, north = shapely.bounds(shapes).T
    left, low, right, high = box.bounds
    chosen: NDArray[np.object_] = shapes[
        (west + shift <= right) & (east + shift >= left) & (south <= high) & (north >= low)
    ]
    return chosen


def _shift(east: float) -> Any:
    return lambda points: points + np.array([east, 0.0])


def _arcs(table: dict[str, NDArray[Any]]) -> list[Array]:
    """Positions out of steps, in degrees: [points, 2] each."""
    steps = np.stack((table["steps_x"], table["steps_y"]), 1).astype(np.int64)
    parts = np.split(steps, np.cumsum(table["points"])[:-1])
    return [_run_on(np.cumsum(part, 0) * table["scale"] + table["origin"]) for part in parts]


def _split(values: NDArray[Any], lengths: NDArray[Any]) -> list[list[int]]:
    return [part.tolist() for part in np.split(values, np.cumsum(lengths)[:-1])]


def _ring(arcs: list[Array], numbers: list[int]) -> Array:
    """The arcs of a ring end to end; ~n is arc n backwards. Each begins where the one before ends.

    A ring around a pole, Antarctica's, is closed by way of that pole.
    """
    parts = [arcs[number] if number >= 0 else arcs[~number][::-1] for number in numbers]
    ring = _run_on(np.concatenate([parts[0], *(part[1:] for part in parts[1:])]))
    if abs(ring[-1, 0] - ring[0, 0]) < 180:
        return ring
    pole = np.copysign(90.0, ring[:, 1].mean())
    return np.concatenate((ring, [[ring[-1, 0], pole], [ring[0, 0], pole], ring[0]]))


def _run_on(line: Array) -> Array:
    """The same line without the jump of longitudes at the date line."""
    return np.stack((np.unwrap(line[:, 0], period=360), line[:, 1]), 1)
