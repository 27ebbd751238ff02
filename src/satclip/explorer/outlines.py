"""Coasts and borders as the page draws them."""

import numpy as np
import shapely
from numpy.typing import NDArray

from satclip.geography.countries import countries, land

STEPS = 32_767  # of a half circle: 600 m, where the outlines are true to some 10 km


def outlines() -> dict[str, NDArray[np.int16] | NDArray[np.uint32]]:
    """Rings one after the other, in steps of 180 / `STEPS` degrees [points, 2], and how many points each has.

    `coast` and `coast/points` of the land, borders dissolved; `border` and `border/points` of the countries.
    """
    found: dict[str, NDArray[np.int16] | NDArray[np.uint32]] = {}
    for name, shapes in (("coast", [land()]), ("border", list(countries().outlines))):
        polygons = [part for shape in shapes for part in shapely.get_parts(shape)]
        rings = [np.asarray(ring.coords) for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
        found[name] = np.round(np.concatenate(rings) / 180 * STEPS).astype(np.int16)
        found[f"{name}/points"] = np.array([len(ring) for ring in rings], dtype=np.uint32)
    return found
