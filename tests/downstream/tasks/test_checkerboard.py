"""The checkerboard against its definition, place by place and cell by cell."""

import math

import numpy as np
import pytest

from satclip.downstream.tasks import Checkerboard
from satclip.downstream.tasks.checkerboard import fibonacci


def lattice(count: int) -> list[tuple[float, float, int]]:
    """Longitude, latitude and class of the support points, in a loop as the definition reads."""
    golden, half = (1 + math.sqrt(5)) / 2, count // 2
    points = []
    for i in range(-half, half):
        longitude = (i % golden) * 360 / golden
        if longitude > 180:
            longitude -= 360
        points.append((longitude, math.degrees(math.asin(2 * i / (2 * half + 1))), i % 16))
    return points


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    (lon1, lat1), (lon2, lat2) = (map(math.radians, place) for place in (a, b))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return math.asin(min(1, math.sqrt(h)))


def test_a_place_has_the_class_of_the_nearest_point_of_the_lattice() -> None:
    labels = Checkerboard(resolution_km=2258.0).load()
    support = lattice(100)
    for row in (0, 1, 77, 5000, 10_000, 15_123, 19_999):
        place = (float(labels.lonlat[row, 0]), float(labels.lonlat[row, 1]))
        best = min(support, key=lambda point: haversine(place, point[:2]))
        assert labels.target[row] == best[2]


def test_training_places_are_random_and_test_places_a_lattice() -> None:
    labels = Checkerboard().load()
    assert labels.fixed_split is not None
    assert labels.fixed_split.tolist() == [False] * 10_000 + [True] * 10_000
    np.testing.assert_allclose(labels.lonlat[10_000:], [point[:2] for point in lattice(10_000)], atol=1e-9)
    x, y, z = np.random.RandomState(0).normal(0, 1, (10_000, 3))[0]
    assert labels.lonlat[0] == pytest.approx(
        [math.degrees(math.atan2(y, x)), math.degrees(math.atan2(z, math.hypot(x, y)))]
    )
    assert len(set(labels.target.tolist())) == 16


def test_neighbouring_cells_lie_as_far_apart_as_the_resolution_says() -> None:
    for resolution, count in ((2258.0, 100), (505.0, 2000)):
        assert round(4 * math.pi * (6371.0088 / resolution) ** 2) == pytest.approx(count, rel=0.002)
    cells = fibonacci(500)
    radians = np.radians(cells)
    vectors = np.stack(
        [
            np.cos(radians[:, 1]) * np.cos(radians[:, 0]),
            np.cos(radians[:, 1]) * np.sin(radians[:, 0]),
            np.sin(radians[:, 1]),
        ],
        1,
    )
    nearest = np.sort(vectors @ vectors.T, 1)[:, -2]
    assert np.median(np.arccos(nearest)) * 6371 == pytest.approx(6371 * math.sqrt(4 * math.pi / 500), rel=0.1)


@pytest.mark.parametrize("resolution", [49.0, 6001.0, float("nan")])
def test_a_resolution_out_of_bounds_is_refused(resolution: float) -> None:
    with pytest.raises(ValueError, match="resolution_km must be 50 to 6000"):
        Checkerboard(resolution_km=resolution).load()


def test_the_resolution_is_part_of_the_name() -> None:
    assert Checkerboard(resolution_km=500).load().name == "checkerboard_500km"
