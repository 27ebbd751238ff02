"""Two real tables, and small synthetic ones whose answers are known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from satclip.downstream.contract import Labels

FIXTURES = Path(__file__).parents[2] / "fixtures"


def sines(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
    """CoordBench's row "sincos": sin lat, cos lat, sin lon, cos lon."""
    longitude, latitude = np.deg2rad(lonlat).T
    return np.column_stack((np.sin(latitude), np.cos(latitude), np.sin(longitude), np.cos(longitude)))


class Sines:
    name, seen = "sincos", "nothing"

    def __call__(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        return sines(lonlat)


@pytest.fixture(scope="session")
def sincos() -> Sines:
    return Sines()


@pytest.fixture(scope="session")
def air() -> Labels:
    """Mean temperature of 3,076 stations in degrees Celsius (Hooker et al. 2018, figshare 12609182, MIT copy)."""
    with np.load(FIXTURES / "air_temperature.npz") as table:
        lonlat = table["lonlat_ten_thousandths"] / 1e4
        return Labels("air_temperature", lonlat, table["target"].astype(np.float64))


@pytest.fixture(scope="session")
def california() -> Labels:
    """Median house value of 20,640 block groups in 100,000 dollars (Pace and Barry 1997)."""
    with np.load(FIXTURES / "california_housing.npz") as table:
        lonlat, target = table["lonlat_hundredths"] / 100, table["target"] / 1e5
    return Labels("california_housing", lonlat, target, cell_degrees=(0.25, 0.5, 1.0, 2.0))


@pytest.fixture(scope="session")
def world() -> Labels:
    """1,200 places all over the sphere with a smooth target and a little noise."""
    generator = np.random.default_rng(1)
    latitude = np.rad2deg(np.arcsin(generator.uniform(-1, 1, 1200)))
    lonlat = np.column_stack((generator.uniform(-180, 180, 1200), latitude))
    target = sines(lonlat) @ [3.0, -2.0, 1.0, 0.5] + 0.1 * generator.normal(size=1200)
    return Labels("smooth", lonlat, target)


@pytest.fixture(scope="session")
def belts(world: Labels) -> Labels:
    """The same places: north, tropics or south."""
    codes = np.digitize(world.lonlat[:, 1], [-23.0, 23.0]).astype(np.int64)
    return Labels("belt", world.lonlat, codes, ("south", "tropics", "north"))
