"""Nearest places on the sphere, in kilometres, by a tree of unit vectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.evaluate.extra import from_extra
from satclip.sphere import EARTH_RADIUS_KM

Array = NDArray[np.float64]


def unit_vectors(lonlat: Array) -> Array:
    """Places in degrees on the unit sphere, in NumPy: [N, 2] -> [N, 3]."""
    longitude, latitude = np.deg2rad(lonlat).T
    ring = np.cos(latitude)
    return np.column_stack((ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)))


def nearest(known: Array, asked: Array, k: int) -> tuple[Array, NDArray[np.int64]]:
    """The `k` nearest known places of each asked one, all of them where there are fewer.

    Args:
        known: degrees [N, 2].
        asked: degrees [M, 2].
        k: how many.

    Returns:
        Great-circle kilometres [M, k], ascending, and rows of `known` [M, k].
    """
    k = min(k, len(known))
    chord, rows = tree(unit_vectors(known)).query(unit_vectors(asked), k=np.arange(1, k + 1))
    return kilometres(chord), rows.astype(np.int64)


def within(known: Array, centres: Array, km: float) -> NDArray[np.bool_]:
    """Which known places lie within `km` of any centre: [N, 2], [M, 2] -> bool [N]. A place at no distance does."""
    if not len(centres) or not len(known):
        return np.zeros(len(known), dtype=bool)
    return nearest(centres, known, 1)[0][:, 0] <= km


def tree(vectors: Array) -> Any:
    """scipy's k-d tree of unit vectors [N, 3]."""
    return from_extra("scipy.spatial").KDTree(vectors)


def kilometres(chord: Array) -> Array:
    """Great-circle distance of a chord of the unit sphere."""
    result: Array = 2 * EARTH_RADIUS_KM * np.arcsin(np.clip(chord / 2, 0, 1))
    return result
