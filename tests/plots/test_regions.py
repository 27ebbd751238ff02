"""Maps of regions: the projection by PROJ's areas, the scale bar on the sphere, the land by 1:110m."""

import numpy as np
import pyproj
import pytest
import shapely
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from satclip.geography.countries import land
from satclip.geography.outlines import outlines
from satclip.plots import Look, map_figure, similarity_figure
from satclip.plots.fitting import fitting
from satclip.plots.region_grid import region_grid
from satclip.plots.regional import draw, positions
from satclip.plots.scale_bar import round_below
from satclip.region import Region
from satclip.sphere import unit_vectors

EUROPE, BERING, ARCTIC = Region.of((-12, 35, 35, 70)), Region.of((165, 50, -160, 72)), Region.of((-180, 60, 180, 90))
TROPICS, ALPS, CONGO = Region.of((-180, -30, 180, 30)), Region.of((5, 43, 16, 49)), Region.of((8, -14, 35, 10))


class Direction(nn.Module):
    def forward(self, lonlat: Tensor) -> Tensor:
        return unit_vectors(lonlat)


@pytest.mark.parametrize(
    ("region", "name"),
    [
        (EUROPE, "Albers"),
        (BERING, "Lambert azimuthal equal-area"),
        (ARCTIC, "about the pole"),
        (TROPICS, "Equal Earth"),
        (ALPS, "Lambert azimuthal equal-area"),
        (CONGO, "Lambert azimuthal equal-area"),
    ],
)
def test_a_region_has_the_projection_of_its_size_and_latitude_and_keeps_areas(region: Region, name: str) -> None:
    projection = fitting(region)
    assert name in projection.name
    draws = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    x = (draws[:, 0] - 0.5) * region.width * 0.98
    y = region.south + 0.01 + draws[:, 1] * (region.north - region.south) * 0.98
    factors = projection.proj.get_factors(x, y)
    np.testing.assert_allclose(factors.areal_scale, 1, rtol=1e-4)
    lonlat = np.stack((x, y), 1)
    np.testing.assert_allclose(projection.unproject(projection.project(lonlat)), lonlat, atol=1e-6)


def test_the_fine_outlines_are_the_coarse_ones_in_detail_also_across_the_date_line() -> None:
    for middle in (0.0, 180.0):
        fine, coarse = outlines().land_within(middle, -180, -60, 180, 90), land(middle)
        coarse = shapely.intersection(coarse, shapely.box(-180, -60, 180, 90))
        assert shapely.symmetric_difference(fine, coarse).area < 0.05 * coarse.area
        assert shapely.contains_xy(outlines().land_within(180, -15, 50, 15, 72), -2.0, 67.0)  # Chukotka, 178 E
        assert shapely.contains_xy(outlines().land_within(180, -15, 50, 15, 72), 5.0, 66.5)  # and 175 W


def test_no_coast_runs_along_the_date_line_and_borders_are_none() -> None:
    shores = outlines().lines_within(outlines().coasts, 180, -1, 65, 1, 69.5)
    on_it = sum(float(np.abs(np.diff(line[:, 1])[np.abs(line[:-1, 0]) < 1e-3]).sum()) for line in shores)
    assert on_it < 0.2
    alps = outlines().lines_within(outlines().borders, 10, -3, 45, 3, 48)
    rhine_to_inn = shapely.union_all([shapely.linestrings(line) for line in alps])
    assert shapely.distance(rhine_to_inn, shapely.points(9.53 - 10, 47.27)) < 0.05  # Switzerland and Austria


@pytest.mark.parametrize("region", [EUROPE, BERING, ALPS, CONGO])
def test_the_scale_bar_is_as_long_as_it_says(region: Region) -> None:
    figure = Figure()
    axes = figure.add_subplot()
    grid = region_grid(region, 2.0)
    projection = draw(axes, grid, grid.image(np.zeros((len(grid.lonlat), 3))))
    (said,) = [text for text in axes.texts if text.get_gid() == "scale"]
    length = float(said.get_text().removesuffix(" km"))
    bar = max((np.ptp(np.asarray(line.get_xdata())) for line in axes.lines), default=0.0)
    middle = projection.project(np.array([0.0, (region.south + region.north) / 2]))
    half = np.array([bar / 2, 0.0])
    ends = projection.unproject(np.stack((middle - half, middle + half)))
    sphere = pyproj.Geod(a=6371008.8, b=6371008.8)
    metres = sphere.inv(*ends[0], *ends[1])[2]
    assert metres / 1000 == pytest.approx(length, rel=0.02)


def test_a_scale_is_one_two_or_five() -> None:
    assert [round_below(x) for x in (1, 3.9, 49.9, 50, 99, 1234)] == [1, 2, 20, 50, 50, 1000]


def test_the_sea_is_painted_only_where_it_is_asked_for() -> None:
    whole, dry = region_grid(EUROPE, 1.0, land=False), region_grid(EUROPE, 1.0)
    assert whole.painted.all()
    assert not dry.painted.all()
    assert (dry.weights == 0).any()  # cells beside the land are drawn, and have no say in the colours
    assert len(region_grid(Region.of((-150, 0, -149, 1)), 0.1).lonlat) == 250 * 250  # no land near: all of it


def test_a_place_lies_on_the_map_where_it_is_drawn() -> None:
    at = positions(np.array([[-170.0, 60.0], [190.0, 60.0]]), BERING)
    np.testing.assert_allclose(at[0], at[1], atol=1e-9)
    assert at[0, 0] > 0  # east of 182.5, the middle


def test_models_stand_side_by_side_under_their_names_and_variance_is_told() -> None:
    look = Look(4.0, region=EUROPE, title="Two", size=3, dpi=40)
    figure = map_figure({"a": Direction(), "b": Direction()}, look)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a", "b"]
    assert figure.get_size_inches()[0] == 6 or figure.get_size_inches()[0] == 9
    words = [text.get_text() for text in figure.axes[0].texts if "variance" in text.get_text()]
    assert words[0].startswith("colours: 100 % of the variance (")  # a direction has three components


def test_a_similarity_scale_can_be_fixed_and_must_rise() -> None:
    figure = similarity_figure(Direction(), 10, 50, Look(5.0, region=EUROPE), vmin=-0.5, vmax=0.9, top=3, apart_km=900)
    (bar,) = [child for axes in figure.axes for child in axes.child_axes]
    assert bar.get_xlim() == pytest.approx((-0.5, 0.9))
    assert {"1", "2", "3"} <= {text.get_text() for text in figure.axes[0].texts}
    with pytest.raises(ValueError, match="give vmin below vmax"):
        similarity_figure(Direction(), 10, 50, Look(5.0, region=EUROPE), vmin=1.5)
