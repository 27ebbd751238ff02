"""Geo-bias: whether data and errors cluster, as TorchSpatial and PyGBS (both seai-lab, 2024 and 2025) measure it.

Spatial self-information (SSI) is the surprise at Moran's I of a neighbourhood, -log p. Unmarked, the marks are 1 at
data and 0 at background points on circles around the centre: is the data itself clustered? Marked, they are the
performance classes of the data: are right and wrong answers clustered? The reference takes p, two-sided, from a normal
with the mean and variance of Moran's I under randomisation (Cliff and Ord 1981, Spatial Processes, chapter 1). With
four neighbours that normal is poor, so a p-value by permutation stands beside it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.sphere_index import nearest, tree, unit_vectors
from satclip.sphere import EARTH_RADIUS_KM

Rows = NDArray[np.int64]
RADIUS_KM, NEIGHBOURS, BACKGROUND = 100.0, 4, 5
FEWEST = NEIGHBOURS + 2
_TINY = 1e-256


class Neighbourhood:
    """Places and their four nearest others, weights 1, for Moran's I of any marks.

    Raises:
        ValueError: for fewer than six places.
    """

    def __init__(self, lonlat: Array) -> None:
        if len(lonlat) < FEWEST:
            raise ValueError(f"Moran's I with {NEIGHBOURS} neighbours needs {FEWEST} places, got {len(lonlat)}")
        self.count, self.rows = len(lonlat), _others(lonlat)
        self.expected = -1 / (self.count - 1)
        own, other = np.repeat(np.arange(self.count), NEIGHBOURS), self.rows.ravel()
        mutual = np.isin(other * self.count + own, own * self.count + other).sum()
        self._s1 = float(len(own) + mutual)  # half the sum of (w_ab + w_ba) squared
        into = np.bincount(self.rows.ravel(), minlength=self.count)
        self._s2 = float(((into + NEIGHBOURS) ** 2).sum())

    def moran(self, marks: Array) -> float:
        """Moran's I of marks [N]; its expectation where they are all equal."""
        centred = marks - marks.mean()
        spread = float((centred**2).sum())
        if spread == 0:
            return self.expected
        return float((centred[:, None] * centred[self.rows]).sum()) / self.rows.size * self.count / spread

    def variance(self, marks: Array) -> float:
        """Of Moran's I under randomisation of marks [N]."""
        n, s0, s1, s2 = self.count, float(self.rows.size), self._s1, self._s2
        centred = marks - marks.mean()
        kurtosis = float((centred**4).mean() / (centred**2).mean() ** 2)
        first = n * ((n * n - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
        second = kurtosis * ((n * n - n) * s1 - 2 * n * s2 + 6 * s0**2)
        return (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0**2) - self.expected**2

    def information(self, marks: Array) -> float:
        """-log(p + 1e-256) of marks [N], p two-sided from the normal; 0 where they are all equal."""
        variance = self.variance(marks) if np.ptp(marks) > 0 else 0.0
        if variance <= 0:
            return 0.0
        p = math.erfc(abs(self.moran(marks) - self.expected) / math.sqrt(2 * variance))
        return float(-np.log(p + _TINY))


class _Together:
    """Many neighbourhoods at once: their members one after the other, so that a permutation is a few sums."""

    def __init__(self, hoods: list[Neighbourhood], members: list[Rows]) -> None:
        sizes = np.array([hood.count for hood in hoods])
        self._first = np.cumsum(sizes) - sizes
        self._hood, self._rows = np.repeat(np.arange(len(hoods)), sizes), np.concatenate(members)
        self._others = np.concatenate([hood.rows + first for hood, first in zip(hoods, self._first, strict=True)])
        self._sizes, self._expected = sizes, np.array([hood.expected for hood in hoods])

    def mean_excess(self, marks: Array) -> float:
        """The mean over the neighbourhoods of Moran's I of the marks of all places [M], less its expectation."""
        own = marks[self._rows]
        centred = own - (np.add.reduceat(own, self._first) / self._sizes)[self._hood]
        spread = np.add.reduceat(centred**2, self._first)
        beside = np.add.reduceat(centred * centred[self._others].sum(1), self._first)
        known = spread > 0
        excess = beside[known] / (NEIGHBOURS * spread[known]) - self._expected[known]
        return float(excess.sum() / len(self._sizes))


@dataclass(frozen=True)
class GeoBias:
    """Over the centres that have enough places around them; NaN without any.

    Attributes:
        unmarked: mean SSI of data against background.
        marked: mean SSI of performance.
        permutation_p: share of permutations of the performance over all test places whose mean Moran's I is as far from
            its expectation; neighbourhoods overlap, and are permuted together.
        centres: so many.
    """

    unmarked: float
    marked: float
    permutation_p: float
    centres: int


def geo_bias(
    lonlat: Array,
    performance: Array,
    *,
    radius_km: float = RADIUS_KM,
    centres: int = 200,
    permutations: int = 199,
    seed: int = 0,
) -> GeoBias:
    """SSI around test places.

    Args:
        lonlat: of the test places, degrees [M, 2].
        performance: a class of each (right 1, wrong 0; or the bin of an error) [M].
        radius_km: of a neighbourhood.
        centres: so many test places at most, drawn at random among those with six places or more around them.
        permutations: for the p-value.
        seed: of the drawing and permuting.
    """
    vectors = unit_vectors(lonlat)
    around = tree(vectors).query_ball_point(vectors, 2 * np.sin(radius_km / EARTH_RADIUS_KM / 2))
    generator = np.random.default_rng(seed)
    enough = np.array([number for number, rows in enumerate(around) if len(rows) >= FEWEST], dtype=np.int64)
    chosen = np.sort(generator.permutation(enough)[:centres])
    if not len(chosen):
        return GeoBias(np.nan, np.nan, np.nan, 0)
    members = [np.sort(np.array(around[number], dtype=np.int64)) for number in chosen]
    hoods = [Neighbourhood(lonlat[rows]) for rows in members]

    together = _Together(hoods, members)
    found = abs(together.mean_excess(performance))
    shuffled = [abs(together.mean_excess(generator.permutation(performance))) for _ in range(permutations)]
    as_far = int((np.array(shuffled) >= found - 1e-12).sum())
    return GeoBias(
        float(
            np.mean([_unmarked(lonlat, number, rows, radius_km) for number, rows in zip(chosen, members, strict=True)])
        ),
        float(np.mean([hood.information(performance[rows]) for hood, rows in zip(hoods, members, strict=True)])),
        (as_far + 1) / (permutations + 1),
        len(chosen),
    )


def circles(centre: Array, radius_km: float, count: int) -> Array:
    """About `count` places evenly on the disc around a place (degrees [2]), on concentric circles: [C, 2] degrees."""
    rings = max(1, round(np.sqrt(count / np.pi)))
    places = []
    for ring in range(1, rings + 1):
        angle = radius_km / EARTH_RADIUS_KM * (ring - 0.5) / rings
        on = max(1, round(count * (2 * ring - 1) / rings**2))
        bearing = 2 * np.pi * (np.arange(on) + 0.5 * (ring % 2)) / on
        latitude = np.deg2rad(centre[1])
        north = np.sin(latitude) * np.cos(angle) + np.cos(latitude) * np.sin(angle) * np.cos(bearing)
        east = np.arctan2(np.sin(bearing) * np.sin(angle) * np.cos(latitude), np.cos(angle) - np.sin(latitude) * north)
        places.append(np.column_stack((centre[0] + np.rad2deg(east), np.rad2deg(np.arcsin(np.clip(north, -1, 1))))))
    return np.concatenate(places)


def _unmarked(lonlat: Array, centre: int, rows: Rows, radius_km: float) -> float:
    background = circles(lonlat[centre], radius_km, BACKGROUND * len(rows))
    presence = np.concatenate((np.ones(len(rows)), np.zeros(len(background))))
    return Neighbourhood(np.concatenate((lonlat[rows], background))).information(presence)


def _others(lonlat: Array) -> Rows:
    """Rows of the four nearest other places of each, [N, 4]; a place that another shares is its neighbour."""
    _, rows = nearest(lonlat, lonlat, NEIGHBOURS + 1)
    own = rows == np.arange(len(rows))[:, None]
    own[~own.any(1), -1] = True  # hidden behind places at the very spot: leave out the last instead
    others: Rows = rows[~own].reshape(len(rows), NEIGHBOURS)
    return others
