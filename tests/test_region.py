"""A region holds what lies in it, across the date line too."""

import math

import pytest
import torch

from satclip.region import Region
from satclip.sphere import uniform_on_sphere


def places(*lonlat: tuple[float, float]) -> torch.Tensor:
    return torch.tensor(lonlat, dtype=torch.float64)


def test_a_region_across_the_date_line_holds_both_sides_and_not_the_rest() -> None:
    region = Region.of([170, -50, -170, 60])
    inside = [(175, 0), (-175, 0), (185, 0), (170, -50), (-170, 60), (180, 10)]
    outside = [(165, 0), (-165, 0), (0, 0), (175, 61), (175, -51)]
    assert region.contains(places(*inside)).tolist() == [True] * len(inside)
    assert region.contains(places(*outside)).tolist() == [False] * len(outside)
    assert str(region) == "170° E to 170° W, 50° S to 60° N"
    assert Region.of([170, -50, 190, 60]) == region


def test_the_region_around_places_goes_the_short_way_round() -> None:
    pacific = Region.around(places((178, -17), (-179, -20), (172, -40)))
    assert pacific is not None
    assert (pacific.west, pacific.east) == (172, -179)
    assert (pacific.south, pacific.north) == (-40, -17)
    europe = Region.around(places((-9, 38), (30, 60), (10, 50)))
    assert europe is not None
    assert (europe.west, europe.east, europe.width) == (-9, 30, 39)
    one = Region.around(places((10, 50)))
    assert one is not None
    assert one.width == 0


def test_places_of_the_whole_globe_have_no_region_and_those_of_the_arctic_have() -> None:
    everywhere = uniform_on_sphere(500, torch.Generator().manual_seed(0))
    assert Region.around(everywhere) is None
    arctic = Region.around(everywhere[everywhere[:, 1] > 60])
    assert arctic is not None
    assert arctic.south > 60


def test_places_are_drawn_evenly_and_inside() -> None:
    region = Region.of([150, 0, -150, 80])
    drawn = region.draw(4000, torch.Generator().manual_seed(0))
    assert region.contains(drawn).all()
    half = math.degrees(math.asin(math.sin(math.radians(80)) / 2))  # half of the area lies south of this parallel
    assert (drawn[:, 1] < half).double().mean() == pytest.approx(0.5, abs=0.03)
    assert (drawn[:, 0] > 0).double().mean() == pytest.approx(0.5, abs=0.03)
    assert Region.of([-180, -90, 180, 90]).square_kilometres == pytest.approx(510.07e6, rel=1e-3)


@pytest.mark.parametrize(
    "bounds",
    [
        [0, 0, 10],
        [0, 10, 10, 10],
        [0, 20, 10, 10],
        [-200, 0, 10, 10],
        [0, -91, 1, 0],
        [5, 0, 5, 1],
        [0, 0, math.nan, 1],
    ],
)
def test_bounds_that_bound_nothing_are_refused(bounds: list[float]) -> None:
    with pytest.raises(ValueError, match=r"bounds are \[west, south, east, north\]"):
        Region.of(bounds)
