"""The loop: paired draws, numbers that depend on nothing but their seeds, every promise of a record."""

import logging
import time
from collections import defaultdict

import numpy as np
import pytest

from satclip.downstream.contract import Array, Labels
from satclip.downstream.evaluate.interpolation import InverseDistance, SphereNeighbours
from satclip.downstream.evaluate.neighbours_probe import NeighboursProbe
from satclip.downstream.evaluate.plan import Plan
from satclip.downstream.evaluate.records import Record
from satclip.downstream.evaluate.runner import run
from satclip.downstream.evaluate.scores import accuracy, macro_f1, r_squared

SHORT = Plan(labels=(30, 100, None), holdouts=("random", "cells"), draws=2, workers=1)


class Noise:
    """A vector per place that says nothing of it."""

    seen = "nothing"

    def __init__(self, name: str = "noise", dim: int = 8) -> None:
        self.name, self.dim = name, dim

    def __call__(self, lonlat: np.ndarray) -> np.ndarray:
        key = np.abs((lonlat * [12.9898, 78.233]).sum(1, keepdims=True) * np.arange(1, self.dim + 1))
        return (np.sin(key * 43758.5453) * 1e4 % 1).astype(np.float32)


class Either:
    name, seen = "either", "nothing"

    def __init__(self, *candidates: object) -> None:
        self.candidates = candidates


def compared(records: list[Record]) -> dict[tuple, tuple]:
    return {
        (r.task, r.encoder, r.holdout, r.draw, r.asked): (r.score, r.choice, r.labels, r.by_cell.sums.tolist())
        for r in records
    }


@pytest.fixture(scope="module")
def records(world: Labels, belts: Labels, sincos: object) -> list[Record]:
    return run([sincos, Noise(), InverseDistance(), SphereNeighbours()], [world, belts], SHORT)


def test_every_encoder_is_asked_the_same_questions(records: list[Record]) -> None:
    asked = defaultdict(set)
    for record in records:
        asked[record.encoder].add(
            (record.task, record.holdout, record.draw, record.asked, record.labels, record.tested)
        )
    assert len(records) == 4 * 2 * 5 * 2 * 3
    first, *others = asked.values()
    assert all(other == first for other in others)
    assert {holdout for _, holdout, *_ in first} == {"random", "cells 2", "cells 10", "cells 20", "cells 40"}


def test_records_come_task_by_task_in_the_order_asked_for(records: list[Record]) -> None:
    assert [record.task for record in records] == sorted([r.task for r in records], key=["smooth", "belt"].index)


def test_a_score_is_that_of_the_predictions_it_keeps(records: list[Record], world: Labels, belts: Labels) -> None:
    kept = [record for record in records if record.predictions is not None]
    assert {record.asked for record in kept} == {"all"}
    for record in kept:
        rows, answer = record.predictions.rows, record.predictions.answer
        assert len(rows) == record.tested
        if record.task == "smooth":
            assert record.score == pytest.approx(r_squared(answer, world.target[rows]))
            assert np.isnan(record.macro_f1)
        else:
            votes = np.eye(3)[answer]
            assert record.score == pytest.approx(accuracy(votes, belts.target[rows]))
            assert record.macro_f1 == pytest.approx(macro_f1(votes, belts.target[rows]))
        assert record.by_cell.score()[0] == pytest.approx(record.score)
        assert record.by_distance.sums[:, 1].sum() == record.by_cell.sums[:, 1].sum() == record.tested


def test_what_says_something_beats_noise_and_more_labels_help(records: list[Record]) -> None:
    mean = defaultdict(list)
    for record in records:
        if record.holdout == "random" and record.task == "smooth":
            mean[record.encoder, record.asked].append(record.score)
    score = {key: np.mean(values) for key, values in mean.items()}
    assert score["sincos", "all"] > 0.99
    assert score["noise", "all"] < 0.1
    assert score["IDW", "30"] < score["IDW", "100"] < score["IDW", "all"]
    assert score["noise", "100"] > -0.5  # a strong penalty, not wild guesses


def test_numbers_do_not_depend_on_order_company_or_workers(world: Labels, belts: Labels, sincos: object) -> None:
    whole = compared(run([sincos, Noise(), InverseDistance()], [world, belts], SHORT))
    turned = Plan(labels=(30, 100, None), holdouts=("cells", "random"), draws=2, workers=3)
    assert compared(run([InverseDistance(), Noise(), sincos], [belts, world], turned)) == whole
    alone = compared(run([Noise()], [belts], Plan(labels=(100,), holdouts=("random",), draws=1)))
    assert len(alone) == 1
    for key, value in alone.items():
        assert whole[key] == value


def test_another_seed_is_another_draw(world: Labels, sincos: object) -> None:
    plans = (Plan(labels=(30,), holdouts=("random",), draws=1, seed=seed) for seed in (0, 1))
    first, second = (run([sincos], [world], plan)[0] for plan in plans)
    assert first.score != second.score


def test_a_method_is_given_folds_of_the_right_kind_and_scored_inside(world: Labels) -> None:
    asked = []

    class Watching:
        name, seen = "watching", "nothing"

        def fit_predict(self, lonlat, target, test, classes, folds):
            asked.append((len(lonlat), len(test), set(folds.tolist())))
            return np.full(len(test), target.mean())

    record = run([Watching()], [world], Plan(labels=(90,), holdouts=("random",), draws=1))[0]
    assert asked == [(60, 30, {1, 2}), (60, 30, {0, 2}), (60, 30, {0, 1}), (90, 240, {0, 1, 2})]
    assert record.choice.inner_score == pytest.approx(0, abs=0.1)
    assert record.probe == "-"


def test_a_group_of_candidates_is_one_row_chosen_inside(world: Labels, sincos: object) -> None:
    record = run([Either(Noise(), sincos)], [world], Plan(labels=(100,), holdouts=("random",), draws=1))[0]
    assert (record.encoder, record.choice.candidate) == ("either", "sincos")


def test_a_count_that_the_pool_does_not_exceed_is_left_to_all(world: Labels, sincos: object) -> None:
    found = run([sincos], [world], Plan(labels=(100, 960, 3000, None), holdouts=("random",), draws=1))
    assert [(record.asked, record.labels) for record in found] == [("100", 100), ("all", 960)]


def test_a_large_set_is_drawn_from_and_the_draw_is_the_same_every_time(world: Labels) -> None:
    plan = Plan(places=200)
    part = plan.sample(world)
    assert len(part.target) == 200
    assert plan.sample(world).lonlat.tolist() == part.lonlat.tolist()
    assert Plan(places=None).sample(world) is world
    rows = [world.lonlat.tolist().index(place) for place in part.lonlat.tolist()]
    assert rows == sorted(rows)
    assert world.target[rows].tolist() == part.target.tolist()


def test_buffers_and_continents_and_the_given_split_are_run_beside_their_controls(sincos: object) -> None:
    pytest.importorskip("geopandas")
    generator = np.random.default_rng(0)
    lonlat = np.column_stack((generator.uniform(-120, 140, 900), generator.uniform(-30, 65, 900)))
    labels = Labels("t", lonlat, lonlat[:, 1] + generator.normal(size=900), fixed_split=np.arange(900) % 3 == 0)
    plan = Plan(labels=(50, None), holdouts=("buffers", "continents", "fixed"), draws=2, buffers_km=(0.0, 300.0))
    found = run([sincos], [labels], plan)
    counts = defaultdict(list)
    for record in found:
        counts[record.holdout].append((record.asked, record.part))
    assert {name for name in counts if "buffer" in name} == {
        "buffer 0 km",
        "buffer 300 km",
        "buffer 300 km, control",
    }
    assert all({asked for asked, _ in counts[name]} == {"all"} for name in counts if "buffer" in name)
    assert counts["fixed"] == [("50", ""), ("all", ""), ("50", "")]
    assert {"Africa", "Asia"} <= {part for _, part in counts["continents"]}
    buffered = {r.draw: r.labels for r in found if r.holdout == "buffer 300 km"}
    assert buffered == {r.draw: r.labels for r in found if r.holdout == "buffer 300 km, control"}


def test_a_regional_set_is_buffered_by_its_own_scale_and_has_no_continents(california: Labels) -> None:
    holdouts = {
        draw.holdout for draw in Plan(draws=1, holdouts=("buffers", "continents", "fixed")).draws_of(california)
    }
    assert holdouts == {"buffer 0 km"} | {f"buffer {km} km{end}" for km in (5, 10, 25, 50) for end in ("", ", control")}


def test_cells_that_a_set_is_too_small_for_are_skipped_by_name(
    sincos: object, caplog: pytest.LogCaptureFixture
) -> None:
    lonlat = np.random.default_rng(0).uniform(0, 5, size=(100, 2))
    labels = Labels("small", lonlat, lonlat[:, 0], cell_degrees=(1.0, 40.0))
    with caplog.at_level(logging.WARNING):
        found = run([sincos], [labels], Plan(labels=(None,), holdouts=("cells",), draws=1))
    assert {record.holdout for record in found} == {"cells 1"}
    assert "skipping cells of 40 degrees: small lies in 1 cells" in caplog.text


def test_classes_that_were_never_taught_are_named(sincos: object) -> None:
    lonlat = np.random.default_rng(0).uniform(-40, 40, size=(300, 2))
    codes = (lonlat[:, 0] > 30).astype(np.int64) + 2 * (lonlat[:, 0] < -30)
    found = run(
        [sincos], [Labels("t", lonlat, codes, ("mid", "east", "west"))], Plan(labels=(4, None), holdouts=("random",))
    )
    assert {name for record in found if record.asked == "4" for name in record.absent} >= {"east", "west"}
    assert all(record.absent == () for record in found if record.asked == "all")


def test_any_probe_fits_the_loop(world: Labels, sincos: object) -> None:
    record = run([sincos], [world], Plan(labels=(100,), holdouts=("random",), draws=1, probe=NeighboursProbe()))[0]
    assert record.probe == "knn"
    assert record.score > 0.8


def test_a_line_of_a_table_has_a_value_for_every_column(records: list[Record]) -> None:
    lines = [record.flat() for record in records]
    assert len({tuple(line) for line in lines}) == 1
    assert all(isinstance(value, str | int | float) for line in lines for value in line.values())


def test_two_rows_of_one_name_are_refused(world: Labels, sincos: object) -> None:
    with pytest.raises(ValueError, match="two encoders are called sincos"):
        run([sincos, sincos], [world], SHORT)
    with pytest.raises(ValueError, match="two tasks are called smooth"):
        run([sincos], [world, world], SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"holdouts": ("random", "blocks")}, "no such hold-out: blocks; there are random, cells"),
        ({"draws": 0}, "draws and workers must be 1 or more"),
        ({"inner_folds": 1}, "inner_folds 2 or more"),
        ({"labels": (3, None)}, "label counts must be 4 or more"),
        ({"labels": ()}, "label counts must be 4 or more"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Plan(**options)


def test_a_method_that_answers_in_another_shape_is_named(world: Labels) -> None:
    class Short:
        name, seen = "short", "nothing"

        def fit_predict(self, *given: object) -> np.ndarray:
            return np.zeros(3)

    with pytest.raises(ValueError, match=r"short: smooth asks for finite \(320,\), got \(3,\)|asks for finite"):
        run([Short()], [world], Plan(labels=(None,), holdouts=("random",), draws=1))


def test_an_interrupt_waits_for_the_fits_at_work_and_not_for_the_rest_of_their_draws(world: Labels) -> None:
    asked = list[str]()

    class Slow:
        seen = "nothing"

        def __init__(self, name: str) -> None:
            self.name = name

        def fit_predict(self, taught: Array, target: Array, tested: Array, *_: object) -> Array:
            asked.append(self.name)
            time.sleep(0.01)
            return np.zeros(len(tested))

    def stopped(_: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    plan = Plan(labels=(30,), holdouts=("random",), draws=2, workers=1, inner_folds=2)
    with pytest.raises(KeyboardInterrupt):
        run([Slow(f"slow {number}") for number in range(30)], [world], plan, watch=stopped)
    assert 90 <= len(asked) < 120  # a draw asks each three times
