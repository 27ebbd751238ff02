"""Geo-bias: Moran's I against the textbook's sums, its moments against permutations, clustering where it was put."""

import numpy as np
import pytest
import torch

from satclip.downstream.evaluate.geobias import NEIGHBOURS, Neighbourhood, circles, geo_bias
from satclip.downstream.evaluate.holdouts import cell_of
from satclip.downstream.evaluate.relative_information import direction_parts, distance_parts, relative_information
from satclip.sphere import great_circle_km

generator = np.random.default_rng(0)
PATCH = np.column_stack((generator.uniform(10, 12, 60), generator.uniform(40, 42, 60)))


def test_morans_i_is_that_of_the_whole_weight_matrix() -> None:
    km = great_circle_km(torch.from_numpy(PATCH)[:, None], torch.from_numpy(PATCH)[None]).numpy()
    np.fill_diagonal(km, np.inf)
    weights = np.zeros((60, 60))
    np.put_along_axis(weights, np.argsort(km, axis=1)[:, :NEIGHBOURS], 1.0, axis=1)
    marks = generator.normal(size=60)
    z = marks - marks.mean()
    expected = 60 / weights.sum() * (weights * np.outer(z, z)).sum() / (z**2).sum()
    assert Neighbourhood(PATCH).moran(marks) == pytest.approx(expected, abs=1e-12)


def test_the_moments_of_morans_i_are_those_of_its_permutations() -> None:
    hood, marks = Neighbourhood(PATCH), generator.exponential(size=60) ** 2
    found = np.array([hood.moran(generator.permutation(marks)) for _ in range(6000)])
    assert hood.expected == pytest.approx(found.mean(), abs=3e-3)
    assert hood.variance(marks) == pytest.approx(found.var(), rel=0.07)


def test_the_surprise_is_the_tail_of_the_normal_on_both_sides() -> None:
    stats = pytest.importorskip("scipy.stats")
    hood = Neighbourhood(PATCH[:12])  # few places: the expectation is -1/11, not nearly 0
    marks = generator.normal(size=12)
    z = (hood.moran(marks) + 1 / 11) / np.sqrt(hood.variance(marks))
    assert hood.information(marks) == pytest.approx(-np.log(2 * stats.norm.sf(abs(z))), rel=1e-9)


def test_equal_marks_are_no_surprise_and_too_few_places_are_refused() -> None:
    assert Neighbourhood(PATCH).information(np.ones(60)) == 0
    with pytest.raises(ValueError, match="needs 6 places, got 5"):
        Neighbourhood(PATCH[:5])


def test_places_on_one_spot_are_neighbours_of_each_other_and_not_of_themselves() -> None:
    hood = Neighbourhood(np.concatenate((np.repeat(PATCH[:1], 8, axis=0), PATCH[1:4])))
    assert (hood.rows != np.arange(11)[:, None]).all()
    assert all(len(set(row)) == NEIGHBOURS for row in hood.rows.tolist())


def test_the_background_fills_a_disc_evenly() -> None:
    centre = np.array([179.9, 60.0])
    places = circles(centre, 100.0, 400)
    km = great_circle_km(torch.from_numpy(centre)[None], torch.from_numpy(places)).numpy()
    assert len(places) == pytest.approx(400, rel=0.05)
    assert km.max() < 100
    assert (km < 50).mean() == pytest.approx(0.25, abs=0.05)
    east = (places[:, 0] - centre[0] + 180) % 360 - 180
    assert abs((east > 0).mean() - 0.5) < 0.05


def test_errors_that_cluster_are_told_from_errors_that_do_not() -> None:
    places = np.column_stack((generator.uniform(10, 14, 600), generator.uniform(40, 44, 600)))
    scattered = generator.integers(0, 2, 600).astype(np.float64)
    clustered = (cell_of(places, 1.0) % 2).astype(np.float64)
    calm, loud = (geo_bias(places, marks, centres=40, permutations=99) for marks in (scattered, clustered))
    assert loud.centres == calm.centres == 40
    assert loud.marked > 5 * calm.marked
    assert loud.permutation_p == pytest.approx(0.01)
    assert calm.permutation_p > 0.05
    assert loud.unmarked == calm.unmarked


def test_data_that_clusters_is_a_surprise_against_its_background() -> None:
    even = circles(np.array([11.0, 41.0]), 95.0, 60)
    tight = circles(np.array([11.0, 41.0]), 20.0, 60)
    close, wide = (geo_bias(places, np.ones(len(places)), permutations=1).unmarked for places in (tight, even))
    assert close > 3 * wide


def test_lonely_places_have_no_neighbourhood() -> None:
    far = np.array([[0.0, 0.0], [90.0, 0.0], [180.0, 0.0]])
    found = geo_bias(far, np.array([1.0, 0.0, 1.0]))
    assert found.centres == 0
    assert np.isnan(found.marked)


def test_relative_information_is_the_sum_of_the_formula() -> None:
    performance = np.concatenate((np.zeros(30), np.ones(20), np.ones(40)))
    parts = np.concatenate((np.zeros(50), np.ones(40))).astype(np.int64)
    table = np.array([[30, 20], [0, 40]])
    everywhere = (np.array([30, 60]) + 0.5) / (90 + 5)
    expected = 0.0
    for row in table:
        local = (row + 0.5) / (row.sum() + 5)
        empty = 8 * (0.5 / 95) * np.log((0.5 / 95) / (0.5 / (row.sum() + 5)))
        expected += row.sum() / 90 * ((everywhere * np.log(everywhere / local)).sum() + empty)
    found = relative_information(performance, parts, permutations=99)
    assert found.information == pytest.approx(expected, abs=1e-12)
    assert found.permutation_p == pytest.approx(0.01)
    assert found.parts == 2


def test_performance_that_is_the_same_everywhere_is_no_information() -> None:
    noise = np.random.default_rng(1).uniform(size=400)
    assert relative_information(noise, np.arange(400) % 4, permutations=99).permutation_p > 0.05
    small = relative_information(noise[:30], np.arange(30) % 4)
    assert (small.parts, small.permutation_p) == (0, 1.0)
    assert np.isnan(small.information)


def test_rings_and_sectors_are_counted_from_the_centre() -> None:
    centre = np.array([170.0, 10.0])
    around = np.array([[170.0, 11.0], [-175.0, 10.5], [170.0, 9.0], [155.0, 10.5]])  # north, east, south, west
    assert direction_parts(around, centre, 2).tolist()[1::2] == [0, 1]
    assert direction_parts(around, centre, 4)[[1, 3]].tolist() == [0, 3]
    assert direction_parts(around + np.array([0.1, 0.0]), centre, 4)[[0, 2]].tolist() == [0, 1]
    assert distance_parts(around, centre, 200.0).tolist() == [0, 8, 0, 8]
