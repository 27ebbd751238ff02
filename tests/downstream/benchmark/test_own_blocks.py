"""A checkpoint is inductive in the blocks that its own training left out, and the tables say so of it alone."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from satclip.downstream.benchmark.choose import Chosen
from satclip.downstream.benchmark.own_blocks import own_blocks
from satclip.downstream.benchmark.rows import Rows
from satclip.downstream.benchmark.run import Benchmark, benchmark
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.benchmark.tables import ceiling_grid, compact, difference, gain_lines
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.interpolation import InverseDistance
from satclip.downstream.evaluate.plan import Plan
from satclip.downstream.rivals.trained import HeldOut

Array = NDArray[np.float64]
RULE = HeldOut(0.3, 20.0)


@dataclass
class Told:
    """Vectors that tell the target, as clearly as `clear` says."""

    name: str
    seen: str
    clear: float

    def __call__(self, lonlat: Array) -> Array:
        noise = np.random.default_rng(len(self.name)).normal(size=(len(lonlat), 2))
        truth = np.sin(np.deg2rad(7 * lonlat[:, 0])) * np.cos(np.deg2rad(5 * lonlat[:, 1]))
        return np.column_stack((self.clear * truth + (1 - self.clear) * noise[:, 0], noise[:, 1]))


@pytest.fixture(scope="module")
def blocks(labels: tuple[Labels, Labels]) -> Benchmark:
    rows = Rows(
        (
            Told("mine", "held-out blocks left out (inductive)", 0.8),
            Told("theirs", "whole globe", 0.5),
            Told("untrained mine", "nothing", 0.1),
            Told("the image", "the image of the tested place", 1.0),
            InverseDistance(),
        ),
        ("mine", "theirs"),
        {"mine": "untrained mine"},
        ceilings={"mine": "the image"},
        held_out={"mine": RULE},
    )
    settings = Settings(("cells:20", "fixed"), (100,), draws=5, workers=1)
    return benchmark(rows, Chosen(labels), settings)


def test_the_blocks_of_the_recipe_are_tested_and_no_label_lies_in_them(labels: tuple[Labels, Labels]) -> None:
    rows = Rows((), (), {}, held_out={"mine": RULE})
    (hills, _) = own_blocks(rows, labels, Settings(("fixed",))).tasks
    draws = list(Plan(holdouts=("fixed",), draws=2).draws_of(hills))
    inside = RULE.holds(hills.lonlat)
    assert 30 < inside.sum() < len(inside)
    for draw in draws:
        assert draw.holdout == "own blocks 20"
        assert inside[draw.test].all()
        assert not inside[draw.pool].any()
        assert len(np.unique(draw.groups)) < len(draw.groups) / 1.5  # inner folds of whole cells too


def test_only_the_encoder_of_that_recipe_is_inductive_and_only_there(blocks: Benchmark) -> None:
    said = {(line[0], line[3]): line[1] for line in gain_lines(blocks)}
    assert said == {
        ("mine", "cells 20"): "blocks left out",
        ("mine", "own blocks 20"): "inductive",
        ("theirs", "cells 20"): "transductive",
        ("theirs", "own blocks 20"): "transductive",
    }


def test_a_split_that_comes_with_the_data_is_kept_and_what_cannot_be_is_said(labels: tuple[Labels, Labels]) -> None:
    fixed = replace(labels[0], fixed_split=np.arange(len(labels[0].target)) < 50)
    kept = own_blocks(Rows((), (), {}, held_out={"mine": RULE}), [fixed], Settings(("fixed",)))
    assert kept.tasks == (fixed,)
    two = Rows((), (), {}, held_out={"mine": RULE, "other": HeldOut(0.1, 5.0)})
    assert "evaluate the encoders one at a time" in own_blocks(two, labels, Settings(("fixed",))).without[0]
    assert "no recipe says" in own_blocks(Rows((), (), {}), labels, Settings(("fixed",))).without[0]
    assert not own_blocks(Rows((), (), {}), labels, Settings(("random",))).without


def test_the_distilled_share_is_the_gain_over_the_room_and_the_ceiling_is_no_rival(blocks: Benchmark) -> None:
    key = ("hills", "cells 20", "100")
    share = blocks.distilled("mine")[key]
    value = {name: blocks.scores[key, name].interval.value for name in ("mine", "untrained mine", "the image")}
    room = value["the image"] - value["untrained mine"]
    assert share.share == pytest.approx((value["mine"] - value["untrained mine"]) / room)
    assert 0 < share.share < 1
    assert not blocks.distilled("theirs")
    assert value["the image"] > value["mine"]
    assert "the image" not in blocks.ties[key]
    assert "mine" in blocks.ties[key]
    assert blocks.gains("mine")[key][1].rival != "the image"  # type: ignore[union-attr]
    grid = ceiling_grid(blocks)
    assert grid is not None
    assert [row[2][3].text for row in grid.rows if row[1].startswith("hills, cells 20")] == [f"{share.share:.0%}"]


def test_the_table_of_a_readme_has_a_line_for_each_question_and_a_column_for_each_row(blocks: Benchmark) -> None:
    heads, lines = compact(blocks)
    assert heads[:5] == ("task", "hold-out", "labels", "mine", "theirs")
    assert len(lines) == 4
    for (task, holdout, asked), cells, gain in lines:
        assert len(cells) == len(heads) - 4 == 5
        over = blocks.gains("mine")[task.partition(",")[0], holdout, asked][0]
        assert over is not None
        assert gain == difference(over.interval)
