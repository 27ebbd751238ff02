"""Inner folds are of the kind of the hold-out outside."""

import numpy as np
import pytest
import torch

from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import Draw, buffer_draws, cell_draws, cell_of, part_draws, random_draws
from satclip.downstream.evaluate.inner_folds import InnerFolds, inner_folds, plain_folds
from satclip.sphere import great_circle_km


def folds(draw: Draw, labels: Labels, count: int | None = None) -> InnerFolds:
    return inner_folds(draw, draw.pool[:count], labels.lonlat, folds=3, seed=0)


def test_cells_are_held_out_whole_inside_as_outside(world: Labels) -> None:
    draw = next(iter(cell_draws(world, 10, 1, 0)))
    inner = folds(draw, world, 300)
    assert inner.kind == "cells 10"
    cells = cell_of(world.lonlat, 10)[draw.pool[:300]]
    pairs = list(inner)
    assert len(pairs) == 3
    for teach, held in pairs:
        assert not set(cells[teach].tolist()) & set(cells[held].tolist())
        assert len(teach) + len(held) == 300
    assert sorted(np.concatenate([held for _, held in pairs]).tolist()) == list(range(300))
    assert inner.complementary


def test_random_rows_are_split_as_rows(world: Labels) -> None:
    inner = folds(next(iter(random_draws(world, 1, 0))), world, 31)
    assert inner.kind == "random"
    assert sorted(np.bincount(inner.fold).tolist()) == [10, 10, 11]


def test_a_continent_at_a_time_is_held_out_inside(world: Labels) -> None:
    parts = cell_of(world.lonlat, 90)
    draw = next(iter(part_draws(world, parts, tuple("abcdefgh"), 1, 0)))
    for teach, held in folds(draw, world):
        assert not set(parts[draw.pool][teach].tolist()) & set(parts[draw.pool][held].tolist())


def test_the_buffer_is_kept_inside(world: Labels) -> None:
    wide = next(draw for draw in buffer_draws(world, (800.0,), 1, 0) if draw.buffer_km)
    inner, rows = folds(wide, world), wide.pool
    assert not inner.complementary
    pairs = list(inner)
    assert pairs
    for teach, held in pairs:
        near, far = (torch.from_numpy(world.lonlat[rows[part]]) for part in (held, teach))
        assert great_circle_km(near[:, None], far[None]).amin() > 800
    assert 0.4 < (inner.fold >= 0).mean() < 0.6  # half of the places of a held-out cell teach, unless they are near


def test_labels_that_cannot_keep_the_buffer_say_so(world: Labels) -> None:
    draw = next(iter(buffer_draws(world, (0.0,), 1, 0)))
    close = Draw("buffer 9000 km", 0, "", draw.test, draw.pool, draw.groups, draw.cells, 21_000.0)
    inner = folds(close, world, 40)
    assert inner.kind.endswith("no buffer inside")
    assert list(inner)


def test_labels_in_one_cell_fall_back_on_random_folds_and_say_so(world: Labels) -> None:
    draw = next(iter(cell_draws(world, 10, 1, 0)))
    cells = cell_of(world.lonlat, 10)
    alone = np.flatnonzero(cells == np.bincount(cells).argmax())
    inner = inner_folds(draw, alone, world.lonlat, folds=3, seed=0)
    assert inner.kind == "random"
    assert len(list(inner)) == 3


def test_one_label_chooses_nothing(world: Labels) -> None:
    with pytest.raises(ValueError, match="at least 2 labels, got 1"):
        folds(next(iter(random_draws(world, 1, 0))), world, 1)


def test_rows_that_are_never_held_out_teach_always() -> None:
    inner = plain_folds(np.array([-1, 0, 1, 0]))
    assert [(teach.tolist(), held.tolist()) for teach, held in inner] == [([0, 2], [1, 3]), ([0, 1, 3], [2])]
    assert inner.complementary
