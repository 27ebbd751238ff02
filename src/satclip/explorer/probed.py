"""What a ridge probe reads out of an embedding at every cell of a page, by labels of which none is near.

The labelled places are dealt into five folds of whole cells of the sphere (10 degrees for a global set). Each fold is
predicted by a probe that the other four have taught, and so are the page's cells that lie in its cells: what the page
shows as error is an error where no label was near, like the score beside it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from satclip.downstream.contract import Array, Labels
from satclip.downstream.evaluate.answers import Answer, Candidate, Goal
from satclip.downstream.evaluate.holdouts import FOLDS, Draw, cell_draws, cell_of, middle_cells
from satclip.downstream.evaluate.inner_folds import inner_folds
from satclip.downstream.evaluate.intervals import Interval, score_interval
from satclip.downstream.evaluate.records import Record
from satclip.downstream.evaluate.ridge_probe import RidgeProbe
from satclip.downstream.evaluate.scores import Sums
from satclip.downstream.evaluate.threads import one_thread
from satclip.downstream.labels import available_maps
from satclip.downstream.places import labelled_places
from satclip.region import Region

PLACES = 3000
TASKS = ("elevation", "climate_zone", "land_cover")  # what imagery may tell; the page names countries anyway
UNKNOWN = 255  # where a class's number stands
_PROBE = RidgeProbe(scalings=("raw",))
_INNER = 3


@dataclass(frozen=True)
class Probed:
    """One task at every cell.

    Attributes:
        labels: the places that taught and were tested.
        predicted: float32 [N] or, of a classification, uint8 codes [N].
        truth: the same of the map; NaN or `UNKNOWN` where it knows nothing.
        score: mean over the folds, with its 95 % interval.
        metric: "R2" or "accuracy".
        degrees: side of the cells that were held out.
    """

    labels: Labels
    predicted: NDArray[np.float32] | NDArray[np.uint8]
    truth: NDArray[np.float32] | NDArray[np.uint8]
    score: Interval
    metric: str
    degrees: float


def probed(
    encode: Callable[[Array], NDArray[np.floating]], embeddings: Tensor, lonlat: Tensor, region: Region | None = None
) -> tuple[Probed, ...]:
    """Every task whose labels are at hand.

    Args:
        encode: degrees [M, 2] -> [M, D].
        embeddings: of the page's cells [N, D].
        lonlat: their centres, degrees [N, 2].
        region: where labels are drawn; None for the whole globe.

    Raises:
        ModuleNotFoundError: the packages with labels, or of the `evaluate` extra, are missing.
        ValueError: a region has too few places with labels, or they lie too close together.
    """
    tasks = [labels for labels in labelled_places(PLACES, region=region) if labels.name in TASKS]
    if not tasks:
        return ()
    features = np.concatenate((encode(tasks[0].lonlat), embeddings.numpy()))
    everywhere = np.concatenate((tasks[0].lonlat, lonlat.numpy()))
    degrees = middle_cells(tasks[0])
    with one_thread():
        folds = list(_folds(tasks, features, everywhere, degrees))
    return tuple(_assembled(task, number, folds, lonlat.numpy(), degrees) for number, task in enumerate(tasks))


@dataclass(frozen=True)
class _Fold:
    draw: Draw
    cells: NDArray[np.int64]  # of the page, which it answers for
    answers: Sequence[Answer]  # for its test places, then for those cells


def _folds(tasks: Sequence[Labels], features: NDArray[np.floating], lonlat: Array, degrees: float) -> list[_Fold]:
    count = len(tasks[0].target)
    goals = [_goal(task, len(lonlat)) for task in tasks]
    candidate, cells = Candidate("embedding", features), cell_of(lonlat, degrees)
    draws = list(cell_draws(tasks[0], degrees, FOLDS, seed=0))
    fold_of = {cell: draw.number for draw in draws for cell in np.unique(cells[draw.test]).tolist()}
    asks = np.array([fold_of.get(cell, 0) for cell in cells[count:].tolist()])  # without labels near, any probe may
    found = []
    for draw in draws:
        mine = np.flatnonzero(asks == draw.number)
        inner = inner_folds(draw, draw.pool, lonlat[:count], folds=_INNER, seed=0)
        rows = np.concatenate((draw.test, count + mine))
        found.append(_Fold(draw, mine, _PROBE.answers([candidate], goals, draw.pool, rows, inner)))
    return found


def _goal(task: Labels, rows: int) -> Goal:
    """The task with the page's cells behind its places: they neither teach nor are scored, so their truth is 0."""
    behind = (0, rows - len(task.target))
    if task.classes is None:
        return Goal(np.pad(task.target.astype(np.float64), behind), None)
    return Goal(np.pad(task.target.astype(np.int64), behind), len(task.classes))


def _assembled(task: Labels, number: int, folds: Sequence[_Fold], lonlat: Array, degrees: float) -> Probed:
    known = _known(task.name, lonlat.tobytes())
    if task.classes is None:
        truth, predicted = known.astype(np.float32), np.empty(len(lonlat), dtype=np.float32)
    else:
        truth = np.where(known < 0, UNKNOWN, known).astype(np.uint8)
        predicted = np.empty(len(lonlat), dtype=np.uint8)
    records = []
    for fold in folds:
        answer, tested = fold.answers[number], len(fold.draw.test)
        here = answer.predicted[tested:]
        predicted[fold.cells] = here if task.classes is None else here.argmax(1)
        records.append(_record(task, fold.draw, answer, tested))
    return Probed(task, predicted, truth, score_interval(records), records[0].metric, degrees)


@lru_cache(maxsize=len(TASKS))
def _known(name: str, lonlat: bytes) -> NDArray[np.float64] | NDArray[np.int64]:
    """What the map knows at the cells, kept: a second encoder has the same ones, and a map is read in a second."""
    source = next(each for each in available_maps() if each.name == name)
    return source.at(np.frombuffer(lonlat).reshape(-1, 2))


def _record(task: Labels, draw: Draw, answer: Answer, tested: int) -> Record:
    regression = task.classes is None
    sums = Sums.of(answer.predicted[:tested], task.target[draw.test], draw.cells[draw.test], regression=regression)
    return Record(
        task=task.name,
        encoder="explored",
        seen="",
        probe="ridge",
        holdout=draw.holdout,
        part="",
        draw=draw.number,
        asked="all",
        labels=len(draw.pool),
        tested=tested,
        metric="R2" if regression else "accuracy",
        score=float(sums.score()[0]),
        macro_f1=np.nan,
        choice=answer.choice,
        inner_kind="",
        absent=(),
        by_cell=sums,
        by_distance=sums,
    )
