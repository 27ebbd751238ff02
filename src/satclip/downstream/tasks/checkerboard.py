"""A checkerboard on the sphere: how fine a pattern an encoder resolves."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import Root, labelled
from satclip.sphere import EARTH_RADIUS_KM

Array = NDArray[np.float64]
GOLDEN = (1 + math.sqrt(5)) / 2
CLASSES = 16
_BLOCK = 1024  # places whose distances to all cells are held at a time
FINEST_KM = 50.0  # 200,000 cells; finer would take minutes


@dataclass(frozen=True)
class Checkerboard:
    """The class, 0 to 15, of the nearest cell: cells of a Fibonacci lattice, `resolution_km` apart, coloured in turn.

    Synthetic, as in RANGE (Dhakal et al. 2025, CVPR, arXiv 2502.19781) and SatCLIP's Fibonacci lattices: N cells, of
    which cell i of -n .. n-1 (n = N // 2) has latitude asin(2 i / (2 n + 1)), longitude 360 (i mod golden) / golden
    wrapped to +-180, and class i mod 16. N = 4 pi (R / resolution)^2, so 2,258 km is their checker_100 and 505 km their
    checker_2000. The fixed split: training places are 10,000 random ones (normal in three dimensions, NumPy's
    RandomState, seed 0), test places a Fibonacci lattice of 10,000.

    Args:
        resolution_km: distance between neighbouring cells, 50 to 6,000.
        root: not read; every task has it.
        max_rows: at most so many places of the 20,000, drawn by `seed`; None for all.
        seed: of the draw; the pattern and the 20,000 places stay.
    """

    resolution_km: float = 1000.0
    root: Root = None
    max_rows: int | None = None
    seed: int = 0
    name: ClassVar[str] = "checkerboard"
    places: ClassVar[int] = 10_000

    def load(self) -> Labels:
        """The places.

        Raises:
            ValueError: the resolution is out of bounds.
        """
        if not FINEST_KM <= self.resolution_km <= 6000:
            raise ValueError(f"resolution_km must be {FINEST_KM:g} to 6000, got {self.resolution_km}")
        cells = fibonacci(round(4 * math.pi * (EARTH_RADIUS_KM / self.resolution_km) ** 2))
        colour = np.arange(-(len(cells) // 2), len(cells) // 2) % CLASSES
        train = _random(self.places)
        lonlat = np.concatenate([train, fibonacci(self.places)])
        return labelled(
            f"{self.name}_{self.resolution_km:g}km",
            lonlat,
            colour[nearest(lonlat, cells)].astype(np.int64),
            source=f"{len(cells)} cells of a Fibonacci lattice",
            classes=tuple(map(str, range(CLASSES))),
            test=np.arange(len(lonlat)) >= len(train),
            max_rows=self.max_rows,
            seed=self.seed,
        )


def fibonacci(count: int) -> Array:
    """A Fibonacci lattice of 2 (count // 2) places, south to north: degrees [N, 2]."""
    half = count // 2
    number = np.arange(-half, half)
    latitude = np.degrees(np.arcsin(2 * number / (2 * half + 1)))
    longitude = (number % GOLDEN) * 360 / GOLDEN
    return np.stack([np.where(longitude > 180, longitude - 360, longitude), latitude], 1)


def nearest(lonlat: Array, cells: Array) -> NDArray[np.int64]:
    """Number of the nearest cell of each place by great circle: [N, 2], [K, 2] -> [N]."""
    centres = _vectors(cells).T
    blocks = [_vectors(lonlat[start : start + _BLOCK]) for start in range(0, len(lonlat), _BLOCK)]
    return np.concatenate([(block @ centres).argmax(1) for block in blocks])


def _random(count: int) -> Array:
    x, y, z = np.random.RandomState(0).normal(0, 1, (count, 3)).T
    return np.stack([np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y)))], 1)


def _vectors(lonlat: Array) -> Array:
    lon, lat = np.radians(lonlat).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
