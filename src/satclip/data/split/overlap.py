"""Which patches show the same ground: neighbours, and training beside validation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DEGREE_KM = 111.195  # of a meridian, on a sphere of 6371 km
Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Overlap:
    """How much footprints overlap.

    Attributes:
        any: for each patch the largest share of a footprint (the smaller of two) that it has in common with another.
        across: the same with patches of the other side of a split alone.
        worst: the two patches with the largest share.
    """

    any: Figures
    across: Figures
    worst: tuple[int, int]


def overlap(centres: Figures, halves: Figures, held_out: NDArray[np.bool_]) -> Overlap:
    """Compare footprints, each a rectangle along the axes of longitude and latitude.

    Args:
        centres: longitude and latitude of the middles, degrees [N, 2].
        halves: half of their width and height, kilometres [N, 2].
        held_out: which are for validation, [N].
    """
    order = np.argsort(centres[:, 1], kind="stable")
    (longitude, latitude), (wide, high), side = centres[order].T, halves[order].T, held_out[order]
    share, across = np.zeros(len(order)), np.zeros(len(order))
    worst, largest, reach = (0, 0), 0.0, 2 * float(high.max(initial=0.0)) / DEGREE_KM
    # Sorted by latitude, a patch can only meet those that follow within the height of the tallest footprint.
    for step in range(1, len(order)):
        one, other = slice(0, len(order) - step), slice(step, len(order))
        apart = latitude[other] - latitude[one]
        if apart.min(initial=np.inf) >= reach:
            break
        turned = np.abs((longitude[other] - longitude[one] + 180) % 360 - 180)
        east = turned * DEGREE_KM * np.cos(np.radians((latitude[other] + latitude[one]) / 2))
        common = _common(east, wide[one], wide[other]) * _common(apart * DEGREE_KM, high[one], high[other])
        for part in (one, other):
            share[part] = np.maximum(share[part], common)
            across[part] = np.maximum(across[part], np.where(side[one] != side[other], common, 0.0))
        if common.max(initial=0.0) > largest:
            place = int(common.argmax())
            worst, largest = (int(order[place]), int(order[place + step])), float(common[place])
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return Overlap(share[back], across[back], worst)


def _common(apart: Figures, one: Figures, other: Figures) -> Figures:
    """What two intervals of half lengths `one` and `other` have in common, as a share of the shorter."""
    shorter = 2 * np.minimum(one, other)
    shared: Figures = np.clip((one + other - apart) / np.maximum(shorter, 1e-12), 0.0, 1.0)
    return shared
