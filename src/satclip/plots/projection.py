"""The Equal Earth projection: an equal-area map of the whole world with a calm outline.

PROJ computes it (`+proj=eqearth`, on the unit sphere): B. Šavrič, T. Patterson, B. Jenny, "The Equal Earth map
projection", IJGIS 33(3), 2018, doi:10.1080/13658816.2018.1504949.
"""

import numpy as np
import pyproj
from numpy.typing import NDArray

Array = NDArray[np.float64]

_EQUAL_EARTH = pyproj.Proj("+proj=eqearth +R=1")


def project(lonlat: Array) -> Array:
    """Places in degrees, longitude counted from the central meridian, on the map: [..., 2] -> [..., 2] (x, y)."""
    return np.stack(_EQUAL_EARTH(lonlat[..., 0], lonlat[..., 1]), axis=-1)


def unproject(xy: Array) -> Array:
    """The places whose map position is given, in degrees: [..., 2] -> [..., 2]; NaN outside the map's outline."""
    lonlat = np.stack(_EQUAL_EARTH(xy[..., 0], xy[..., 1], inverse=True), axis=-1)
    # Beyond the outline PROJ answers with some place within it.
    outside = np.abs(project(lonlat) - xy).max(-1) > 1e-9
    return np.where(outside[..., None], np.nan, lonlat)


HALF_WIDTH = float(project(np.array([180.0, 0.0]))[0])
HALF_HEIGHT = float(project(np.array([0.0, 90.0]))[1])
