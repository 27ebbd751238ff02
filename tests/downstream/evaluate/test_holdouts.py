"""Hold-outs: what is tested teaches nothing, draws are paired, cells and continents are held out whole."""

from collections.abc import Iterator

import numpy as np
import pytest

from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.continents import continent_names, continent_of
from satclip.downstream.evaluate.holdouts import (
    Draw,
    buffer_draws,
    cell_draws,
    cell_of,
    fixed_draws,
    folds_of_groups,
    keyed,
    part_draws,
    random_draws,
)
from satclip.sphere import great_circle_km


def all_draws(labels: Labels) -> Iterator[Draw]:
    yield from random_draws(labels, 7, 0)
    for degrees in labels.cell_degrees:
        yield from cell_draws(labels, degrees, 7, 0)
    yield from part_draws(labels, cell_of(labels.lonlat, 90), tuple("abcdefgh"), 7, 0)
    yield from buffer_draws(labels, (0.0, 500.0), 3, 0)


def test_a_tested_place_never_teaches_and_none_is_named_twice(world: Labels) -> None:
    for draw in all_draws(world):
        assert not set(draw.test.tolist()) & set(draw.pool.tolist()), draw.holdout
        assert len(set(draw.pool.tolist())) == len(draw.pool)
        if "buffer" not in draw.holdout:
            assert len(draw.test) + len(draw.pool) == len(world.target)


@pytest.mark.parametrize("degrees", [2.0, 10.0, 40.0])
def test_a_cell_is_held_out_whole(world: Labels, degrees: float) -> None:
    for draw in cell_draws(world, degrees, 5, 0):
        cells = cell_of(world.lonlat, degrees)
        assert not set(cells[draw.test].tolist()) & set(cells[draw.pool].tolist())


def test_five_draws_test_every_place_once_and_the_next_five_in_another_deal(world: Labels) -> None:
    for draws in (list(random_draws(world, 10, 0)), list(cell_draws(world, 10, 10, 0))):
        first, second = (np.concatenate([draw.test for draw in part]) for part in (draws[:5], draws[5:]))
        assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(len(world.target)))
        assert draws[0].test.tolist() != draws[5].test.tolist()


def test_draws_depend_on_their_seed_and_number_alone(world: Labels) -> None:
    few, many, other = (list(random_draws(world, count, seed)) for count, seed in ((3, 0), (9, 0), (3, 1)))
    for left, right in zip(few, many, strict=False):
        assert left.test.tolist() == right.test.tolist()
        assert left.pool.tolist() == right.pool.tolist()
    assert few[0].test.tolist() != other[0].test.tolist()


def test_few_labels_are_the_first_of_many_and_a_random_part_of_the_pool(world: Labels) -> None:
    draw = next(iter(cell_draws(world, 10, 1, 0)))
    few = draw.pool[:200]
    assert few.tolist() != sorted(few.tolist())
    assert abs(np.mean(few) - np.mean(draw.pool)) < 100


def test_the_date_line_is_no_border_of_a_cell() -> None:
    places = np.array([[-180.0, 5.0], [180.0, 5.0], [540.0 - 360, 5.0], [190.0, 5.0], [-170.0, 5.0]])
    assert len(set(cell_of(places[:3], 10).tolist())) == 1
    assert len(set(cell_of(places[3:], 10).tolist())) == 1
    assert cell_of(np.array([[0.0, 90.0]]), 40)[0] >= 0


def test_too_few_cells_are_refused(california: Labels) -> None:
    with pytest.raises(ValueError, match="lies in 3 cells of 10 degrees, 5 are needed; give it smaller cells"):
        list(cell_draws(california, 10, 5, 0))


def test_groups_are_dealt_evenly_and_never_split() -> None:
    groups = np.repeat(np.arange(17), 3)
    fold = folds_of_groups(groups, 5, keyed(0, "test"))
    assert all(len(set(fold[groups == group].tolist())) == 1 for group in range(17))
    sizes = [len(set(groups[fold == number].tolist())) for number in range(5)]
    assert sorted(sizes) == [3, 3, 3, 4, 4]


def test_nothing_within_the_buffer_teaches_and_the_control_drops_as_many(world: Labels) -> None:
    import torch

    draws = list(buffer_draws(world, (0.0, 500.0, 1500.0), 2, 0))
    assert len(draws) == 10
    tested = {draw.number: draw.test.tolist() for draw in draws}
    dropped = set()
    assert {draw.holdout for draw in draws[::5]} == {"buffer 0 km"}  # nothing is dropped, it needs no control
    pairs = [(draws[at], draws[at + 1]) for at in (1, 3, 6, 8)]
    for buffered, control in pairs:
        assert control.holdout == f"{buffered.holdout}, control"
        assert len(control.pool) == len(buffered.pool)
        assert buffered.test.tolist() == control.test.tolist() == tested[buffered.number]
        test, pool = (torch.from_numpy(world.lonlat[rows]) for rows in (buffered.test, buffered.pool))
        nearest = great_circle_km(test[:, None], pool[None]).amin()
        assert nearest > (buffered.buffer_km or 0) - 1e-6
        dropped.add((buffered.holdout, len(world.target) - len(buffered.test) - len(buffered.pool)))
    assert all(len(draw.test) + len(draw.pool) == len(world.target) for draw in draws[::5])
    assert min(count for name, count in dropped if name == "buffer 1500 km") > 300


def test_a_continent_is_held_out_whole_and_repeated_draws_are_named(world: Labels) -> None:
    parts = cell_of(world.lonlat, 90)
    draws = list(part_draws(world, parts, tuple("abcdefgh"), 10, 0))
    assert len(draws) == 16
    assert [draw.repeated for draw in draws] == [False] * 8 + [True] * 8
    for draw in draws:
        assert set(parts[draw.test].tolist()) == {"abcdefgh".index(draw.part)}
    assert draws[0].pool.tolist() != draws[8].pool.tolist()


def test_a_small_part_teaches_and_is_not_tested(world: Labels) -> None:
    parts = np.zeros(len(world.target), dtype=np.int64)
    parts[:400], parts[400:449], parts[449:460] = 1, 2, -1
    draws = list(part_draws(world, parts, ("a", "b", "small"), 2, 0))
    assert [draw.part for draw in draws] == ["a", "b"]
    assert all(set(range(400, 460)) <= set(draw.pool.tolist()) for draw in draws)
    assert not list(part_draws(world, np.zeros_like(parts), ("a", "b"), 2, 0))


def test_the_split_that_comes_with_the_data_is_kept(world: Labels) -> None:
    split = np.arange(len(world.target)) % 4 == 0
    labels = Labels("split", world.lonlat, world.target, fixed_split=split)
    draws = list(fixed_draws(labels, 2, 0))
    assert [draw.repeated for draw in draws] == [False, True]
    for draw in draws:
        assert draw.test.tolist() == np.flatnonzero(split).tolist()
        assert sorted(draw.pool.tolist()) == np.flatnonzero(~split).tolist()
    assert not list(fixed_draws(world, 2, 0))


CITIES = {
    "South America": (-76.0, -9.0),
    "Africa": (36.8, -1.3),
    "Asia": (116.4, 39.9),
    "Europe": (2.35, 48.86),
    "North America": (-99.1, 19.4),
    "Oceania": (151.2, -33.9),
    "Antarctica": (0.0, -80.0),
}


def test_a_city_lies_on_its_continent() -> None:
    pytest.importorskip("geopandas")
    found = continent_of(np.array(list(CITIES.values())))
    assert [continent_names()[code] for code in found] == list(CITIES)


def test_a_small_island_belongs_to_what_is_nearest_and_the_open_sea_to_nothing() -> None:
    pytest.importorskip("geopandas")
    malta, pacific, sydney = continent_of(np.array([[14.5, 35.9], [-140.0, 0.0], [151.2 - 360 + 360, -33.9]]))
    assert continent_names()[malta] in {"Europe", "Africa"}
    assert pacific == -1
    assert continent_of(np.array([[151.2, -33.9], [208.8, 61.2]]))[1] == continent_of(np.array([[-151.2, 61.2]]))[0]
    assert continent_names()[sydney] == "Oceania"
