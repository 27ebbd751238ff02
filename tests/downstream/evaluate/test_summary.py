"""Tables: rivals chosen without looking at the test, ties named, families of seeds in one row."""

from dataclasses import replace

import numpy as np
import pytest

from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.interpolation import InverseDistance
from satclip.downstream.evaluate.plan import Plan
from satclip.downstream.evaluate.records import Record
from satclip.downstream.evaluate.runner import run
from satclip.downstream.evaluate.summary import Results

PLAN = Plan(labels=(30, 100, None), holdouts=("random", "cells"), draws=4, workers=1)
KEY = ("smooth", "random", "100")


class Blurred:
    """The four sines with more or less noise that is a function of the place."""

    def __init__(self, name: str, noise: float, seen: str = "nothing", phase: float = 0.0) -> None:
        self.name, self.noise, self.seen, self.phase = name, noise, seen, phase

    def __call__(self, lonlat: np.ndarray) -> np.ndarray:
        longitude, latitude = np.deg2rad(lonlat).T
        sines = np.column_stack((np.sin(latitude), np.cos(latitude), np.sin(longitude), np.cos(longitude)))
        return sines + self.noise * np.sin(1e4 * lonlat.sum(1, keepdims=True) * [1.0, 1.3, 1.7, 2.1] + self.phase)


@pytest.fixture(scope="module")
def records(world: Labels) -> list[Record]:
    rows = [
        Blurred("trained", 0.1, "whole globe"),
        Blurred("untrained, seed 0", 0.6),
        Blurred("untrained, seed 1", 0.7),
        Blurred("twin", 0.1, "whole globe", phase=1.0),
        InverseDistance(),
    ]
    labels = Labels("smooth", world.lonlat, world.target, cell_degrees=(10.0,))
    return run(rows, [labels], PLAN)


@pytest.fixture(scope="module")
def results(records: list[Record]) -> Results:
    return Results(records)


def test_seeds_are_one_row(results: Results) -> None:
    assert results.families == ["trained", "untrained", "twin", "IDW"]
    assert len(results.of(KEY, "untrained")) == 8
    row = next(
        one for one in results.scores() if (one.family, one.holdout, one.asked) == ("untrained", "random", "100")
    )
    assert (row.interval.seeds, row.interval.draws, row.seen, row.metric) == (2, 4, "nothing", "R2")
    assert row.interval.low < row.interval.value < row.interval.high


def test_the_best_rival_is_chosen_by_its_inner_score_and_has_seen_nothing(
    results: Results, records: list[Record]
) -> None:
    assert results.best_rival(KEY) in {"untrained", "IDW"}
    means = {
        family: np.mean([r.choice.inner_score for r in results.of(KEY, family)]) for family in ("untrained", "IDW")
    }
    assert results.best_rival(KEY) == max(means, key=lambda family: means[family])
    other = min(means, key=lambda family: means[family])
    flipped = [
        replace(record, choice=replace(record.choice, inner_score=2.0 if record.family == other else -1.0))
        for record in records
    ]
    assert Results(flipped).best_rival(KEY) == other  # whatever the test scores are
    assert results.best_rival(KEY, besides=results.best_rival(KEY)) == other


def test_a_difference_is_paired_and_clear_where_it_is_large(results: Results) -> None:
    found = {(one.holdout, one.asked): one for one in results.against("trained", "untrained")}
    assert set(found) == {(holdout, asked) for holdout in ("random", "cells 10") for asked in ("30", "100", "all")}
    assert found["random", "100"].interval.clear
    assert found["random", "100"].interval.value > 0.05
    best = {(one.holdout, one.asked): one for one in results.against_best("trained")}
    assert best["random", "100"].rival == results.best_rival(KEY)
    assert all(one.rival != "IDW" for one in results.against_best("IDW"))


def test_ties_are_named_and_losers_are_not(results: Results) -> None:
    ties = results.ties(KEY)
    assert set(ties) == {"trained", "twin"}


def test_labels_that_a_rival_needs_are_more_than_one_for_one(results: Results) -> None:
    found = results.labels_needed("smooth", "random", "trained", "untrained", "30")
    assert found is not None
    assert found.ratio > 1.5
    assert results.labels_needed("smooth", "random", "trained", "nobody") is None
    assert results.labels_needed("smooth", "cells 40", "trained", "untrained") is None


def test_one_table_is_of_one_probe_and_of_something(records: list[Record]) -> None:
    with pytest.raises(ValueError, match="one table is of one probe, got knn, ridge"):
        Results([records[0], replace(records[1], probe="knn")])
    with pytest.raises(ValueError, match="no records"):
        Results([])
