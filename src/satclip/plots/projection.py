"""The Equal Earth projection: an equal-area map of the whole world with a calm outline.

Formulas: B. Šavrič, T. Patterson, B. Jenny, "The Equal Earth map projection", IJGIS 33(3), 2018,
doi:10.1080/13658816.2018.1504949. Coordinates are those of the unit sphere.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_A1, _A2, _A3, _A4 = 1.340264, -0.081106, 0.000893, 0.003796
_ROOT_3 = np.sqrt(3.0)


def _height(theta: Array) -> Array:
    """Northing of the parametric latitude `theta` (radians)."""
    square = theta**2
    return theta * (_A1 + _A2 * square + square**3 * (_A3 + _A4 * square))


def _slope(theta: Array) -> Array:
    """Derivative of `_height`."""
    square = theta**2
    return _A1 + 3 * _A2 * square + square**3 * (7 * _A3 + 9 * _A4 * square)


HALF_HEIGHT = float(_height(np.array(np.pi / 3)))  # the pole lies at theta = 60 degrees
HALF_WIDTH = float(2 * np.pi / (_ROOT_3 * _A1))


def project(lonlat: Array) -> Array:
    """Places in degrees, longitude counted from the central meridian, on the map: [..., 2] -> [..., 2] (x, y)."""
    longitude, latitude = np.radians(lonlat[..., 0]), np.radians(lonlat[..., 1])
    theta = np.arcsin(_ROOT_3 / 2 * np.sin(latitude))
    x = 2 / _ROOT_3 * longitude * np.cos(theta) / _slope(theta)
    return np.stack((x, _height(theta)), axis=-1)


def unproject(xy: Array) -> Array:
    """The places whose map position is given, in degrees: [..., 2] -> [..., 2]; NaN outside the map's outline."""
    x, y = xy[..., 0], np.clip(xy[..., 1], -HALF_HEIGHT, HALF_HEIGHT)
    theta = y / HALF_HEIGHT * np.pi / 3
    for _ in range(8):  # Newton's method; four steps reach 1e-15 everywhere
        theta = theta - (_height(theta) - y) / _slope(theta)
    theta = np.clip(theta, -np.pi / 3, np.pi / 3)
    longitude = _ROOT_3 / 2 * x * _slope(theta) / np.cos(theta)
    latitude = np.arcsin(np.clip(2 / _ROOT_3 * np.sin(theta), -1.0, 1.0))
    lonlat = np.degrees(np.stack((longitude, latitude), axis=-1))
    outside = (np.abs(longitude) > np.pi) | (np.abs(xy[..., 1]) > HALF_HEIGHT)
    return np.where(outside[..., None], np.nan, lonlat)
