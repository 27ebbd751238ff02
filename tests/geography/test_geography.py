"""Land, countries and grids: well-known places, and the file that Natural Earth's outlines were taken from."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from satclip.geography.countries import Countries, countries, land
from satclip.geography.land_grid import interpolate, land_grid
from satclip.sphere import uniform_on_sphere

PACIFIC = (-140.0, 0.0)


def test_interpolation_is_exact_for_a_slope_and_joins_at_the_date_line() -> None:
    latitude = 90 - (np.arange(18) + 0.5) * 10
    slope = np.repeat(latitude[:, None, None], 36, axis=1)
    places = np.array([[13.0, 21.7], [-179.9, -33.3], [179.9, 60.0]])
    np.testing.assert_allclose(interpolate(slope, places)[:, 0], places[:, 1])
    longitude = np.broadcast_to(np.arange(36.0)[None, :, None], (18, 36, 1))
    west, east = interpolate(longitude, np.array([[-180.0, 0.0], [180.0, 0.0]]))[:, 0]
    assert west == east == pytest.approx(17.5)


def test_the_grid_covers_the_land_without_antarctica() -> None:
    grid = land_grid(1.0)
    share = float(grid.weights.sum()) / (360 * 2 * 180 / np.pi)
    assert share == pytest.approx(0.265, abs=0.006)  # 135 of 510 million square kilometres
    assert grid.lonlat[:, 1].min() > -60
    image = grid.image(grid.lonlat.numpy())
    assert image.shape == (180, 360, 2)
    np.testing.assert_allclose(image[90 - 49, 180 + 2], [2.5, 48.5])
    with pytest.raises(ValueError, match="at most 30, got 0"):
        land_grid(0)


def test_a_place_lies_in_its_country() -> None:
    places = np.array([[2.35, 48.85], [139.7, 35.7], [-47.9, -15.8], PACIFIC])
    names = [countries().names[i] if i >= 0 else None for i in countries().index(places)]
    assert names == ["France", "Japan", "Brazil", None]


def test_moving_the_central_meridian_moves_the_land_and_loses_none() -> None:
    import shapely

    plain, moved = land(), land(11.0)
    assert moved.area == pytest.approx(plain.area)
    assert moved.bounds[0] >= -180
    assert moved.bounds[2] <= 180
    chukotka = (-173.0, 66.0)
    assert shapely.contains_xy(plain, *chukotka)
    assert shapely.contains_xy(moved, chukotka[0] - 11 + 360, chukotka[1])


def test_each_place_has_a_continent_and_the_sea_the_nearest() -> None:
    places = np.array([[2.35, 48.85], [139.7, 35.7], [-47.9, -15.8], [-19.0, 14.0]])
    assert countries().nearest_continent(places) == ["Europe", "Asia", "South America", "Africa"]


def test_the_outlines_are_those_of_natural_earth_as_pyogrio_tests_with_them() -> None:
    geopandas = pytest.importorskip("geopandas")
    wheel = find_spec("pyogrio")
    assert wheel is not None
    assert wheel.origin is not None
    table = geopandas.read_file(
        Path(wheel.origin).parent / "tests/fixtures/naturalearth_lowres/naturalearth_lowres.shp"
    )
    theirs = Countries(tuple(table["name"]), tuple(table["continent"]), table.geometry.to_numpy())
    assert countries().names == theirs.names
    assert countries().continents == theirs.continents
    places = uniform_on_sphere(20_000, torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_array_equal(countries().index(places), theirs.index(places))
