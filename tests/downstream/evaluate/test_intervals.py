"""Intervals: as wide as they should be, paired where they should be, the same every time."""

from dataclasses import replace

import numpy as np
import pytest

from satclip.downstream.evaluate.answers import Choice
from satclip.downstream.evaluate.efficiency import label_ratio, learning_curve, score_by_distance
from satclip.downstream.evaluate.intervals import difference_interval, score_interval
from satclip.downstream.evaluate.records import Record, family_of
from satclip.downstream.evaluate.scores import Sums


def record(
    errors: np.ndarray, truth: np.ndarray, cells: np.ndarray, *, encoder: str = "x", draw: int = 0, labels: int = 100
) -> Record:
    sums = Sums.of(truth + errors, truth, cells, regression=True)
    return Record(
        task="t",
        encoder=encoder,
        seen="nothing",
        probe="ridge",
        holdout="random",
        part="",
        draw=draw,
        asked=str(labels),
        labels=labels,
        tested=len(truth),
        metric="R2",
        score=float(sums.score()[0]),
        macro_f1=np.nan,
        choice=Choice(0.5),
        inner_kind="random",
        absent=(),
        by_cell=sums,
        by_distance=Sums.of(truth + errors, truth, cells % 3, regression=True),
    )


def table(seed: int, *, encoder: str = "x", shift: float = 1.0, draws: int = 1, cells: int = 100) -> list[Record]:
    """Errors that are alike inside a cell, ten places to a cell."""
    found = []
    for draw in range(draws):
        world = np.random.default_rng([7, draw])
        cell = np.repeat(np.arange(cells), 10)
        truth = world.normal(size=10 * cells)
        common = np.random.default_rng([seed, draw]).normal(size=cells)[cell]
        found.append(record(shift * common, truth, cell, encoder=encoder, draw=draw))
    return found


def test_the_value_is_the_mean_over_draws() -> None:
    records = table(0, draws=4)
    interval = score_interval(records, floor=None)
    assert interval.value == pytest.approx(np.mean([one.score for one in records]))
    assert (interval.draws, interval.seeds) == (4, 1)
    assert interval.low < interval.value < interval.high


def test_an_interval_over_cells_covers_what_independent_repeats_scatter() -> None:
    scores = [table(seed)[0].score for seed in range(200)]
    widths = [score_interval(table(seed), floor=None, count=400) for seed in range(20)]
    scatter = 2 * 1.96 * np.std(scores)
    assert np.median([one.high - one.low for one in widths]) == pytest.approx(scatter, rel=0.35)
    by_place = table(0)[0]
    rng = np.random.default_rng(0)
    narrow = Sums(np.arange(1000), np.zeros((1000, 4)), regression=True)
    columns = np.repeat(by_place.by_cell.sums / 10, 10, axis=0)  # as if each place were a cell of its own
    narrow = replace(narrow, sums=columns)
    boot = narrow.score(rng.multinomial(1000, np.full(1000, 1e-3), size=400).astype(float))
    assert np.quantile(boot, 0.975) - np.quantile(boot, 0.025) < 0.6 * scatter


def test_a_paired_difference_is_narrower_than_its_sides() -> None:
    mine = table(0, draws=3)
    rival = [
        replace(one, encoder="rival", by_cell=replace(one.by_cell, sums=one.by_cell.sums * [1.1, 1, 1, 1]))
        for one in mine
    ]
    difference = difference_interval(mine, rival, floor=None)
    alone = score_interval(mine, floor=None)
    assert difference.clear
    assert difference.low > 0
    assert difference.high - difference.low < 0.5 * (alone.high - alone.low)
    assert difference_interval(rival, mine, floor=None).value == pytest.approx(-difference.value)
    assert not difference_interval(mine, mine).clear


def test_seeds_widen_an_interval_and_are_one_family() -> None:
    seeds = [
        one for seed in range(3) for one in table(0, encoder=f"untrained, seed {seed}", shift=0.2 + 0.4 * seed, draws=2)
    ]
    interval = score_interval(seeds, floor=None)
    assert interval.seeds == 3
    assert {one.family for one in seeds} == {"untrained"}
    one = score_interval(table(0, encoder="untrained, seed 1", shift=0.6, draws=2), floor=None)
    assert interval.high - interval.low > 1.5 * (one.high - one.low)


def test_a_family_is_a_name_without_its_seed() -> None:
    assert family_of("untrained x, seed 12") == "untrained x"
    assert family_of("a, seed of doubt") == "a, seed of doubt"
    assert family_of(", seed 3") == ", seed 3"


def test_a_wild_draw_is_floored() -> None:
    records = [*table(0, draws=1), replace(table(1, shift=30.0)[0], draw=1)]
    assert score_interval(records).value == pytest.approx((records[0].score - 1) / 2)
    assert score_interval(records, floor=None).value < -100


def test_intervals_are_the_same_every_time_and_one_cell_has_none() -> None:
    assert score_interval(table(0, draws=2)) == score_interval(table(0, draws=2)[::-1])
    lonely = score_interval([record(np.ones(9), np.arange(9.0), np.zeros(9, dtype=np.int64))])
    assert np.isnan(lonely.low)
    assert not lonely.clear


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="under different draws"):
        difference_interval(table(0, draws=2), table(1, draws=3, encoder="rival"))
    with pytest.raises(ValueError, match="one task, hold-out and label count, got 2"):
        score_interval([*table(0), replace(table(1)[0], holdout="cells 10", draw=1)])
    with pytest.raises(ValueError, match="two records of draw 0"):
        score_interval([*table(0), *table(1)])
    with pytest.raises(ValueError, match="got 0"):
        score_interval([])


@pytest.mark.parametrize(
    ("score", "ratio", "bound"),
    [
        (0.5, 3.0, "="),
        (0.6, 10 ** ((np.log10(300) + np.log10(1000)) / 2) / 100, "="),
        (0.9, 30.0, ">"),
        (0.1, 0.3, "<"),
    ],
)
def test_labels_needed_are_read_off_a_curve_made_monotone(score: float, ratio: float, bound: str) -> None:
    curve = {30: 0.2, 100: 0.4, 300: 0.5, 500: 0.3, 1000: 0.7, 3000: 0.6}
    without = {count: value for count, value in curve.items() if count != 500}
    found = label_ratio(score, 100, without)
    assert found.ratio == pytest.approx(ratio)
    assert found.bound == bound
    if bound != "=":
        assert label_ratio(score, 100, curve) == found


def test_a_dip_in_the_curve_costs_no_labels() -> None:
    assert label_ratio(0.45, 100, {100: 0.4, 300: 0.5, 1000: 0.45}).ratio < 3
    peak = label_ratio(0.5, 100, {100: 0.4, 300: 0.5, 1000: 0.45})  # reached once, whatever comes after
    assert (peak.ratio, peak.bound) == (pytest.approx(3.0), "=")
    with pytest.raises(ValueError, match="no score at any label count"):
        label_ratio(0.5, 100, {100: np.nan})


def test_a_learning_curve_stands_at_the_labels_that_were_given() -> None:
    few = [replace(one, asked="30", labels=30) for one in table(0, draws=2)]
    every = [replace(one, asked="all", labels=950 + 100 * one.draw) for one in table(1, shift=0.1, draws=2)]
    curve = learning_curve([*every, *few], floor=None)
    assert list(curve) == [30, 1000]
    assert curve[30] == pytest.approx(np.mean([one.score for one in few]))


def test_distance_bins_share_one_spread_so_that_they_can_be_compared() -> None:
    truth, cells = np.random.default_rng(0).normal(size=300), np.arange(300)
    errors = np.where(cells % 3 == 0, 0.0, np.where(cells % 3 == 1, 0.5, 1.0))
    found = score_by_distance([record(errors, truth, cells)], np.array([10.0, 100.0, 1000.0]))
    variance = truth.var()
    assert found.score[:3] == pytest.approx([1.0, 1 - 0.25 / variance, 1 - 1 / variance])
    assert np.isnan(found.score[3])
    assert found.count.tolist() == [100, 100, 100, 0]
    assert found.upper_km.tolist() == [10.0, 100.0, 1000.0, np.inf]
    with pytest.raises(ValueError, match="no records"):
        score_by_distance([], np.array([10.0]))
