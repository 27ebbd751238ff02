"""The loop: encoders, tasks and a plan in, one record per fit out.

Tasks on the same places share vectors, draws and decompositions. Every number depends on the seed, the places and the
encoder, and on nothing else: neither on the order of encoders nor on the number of workers. (Which tasks share their
places may move the last digit: their products are taken together.)
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Encoder, Group, Labels, Predictor
from satclip.downstream.evaluate.answers import Answer, Candidate, Choice, Goal
from satclip.downstream.evaluate.holdouts import Draw
from satclip.downstream.evaluate.inner_folds import InnerFolds, inner_folds
from satclip.downstream.evaluate.penalties import penalties_of
from satclip.downstream.evaluate.plan import FEWEST_LABELS, Plan
from satclip.downstream.evaluate.records import Predictions, Record
from satclip.downstream.evaluate.scores import Sums, absent_classes, accuracy, macro_f1, r_squared
from satclip.downstream.evaluate.sphere_index import nearest
from satclip.downstream.evaluate.threads import one_thread
from satclip.downstream.evaluate.vectors import VectorCache

log = logging.getLogger(__name__)
Rows = NDArray[np.int64]
DISTANCE_KM: Array = np.array([1, 2, 5, 10, 25, 50, 100, 200, 400, 800, 1600], dtype=np.float64)


@dataclass(frozen=True)
class Job:
    """One draw with its tasks and the rows to be filled in."""

    draw: Draw
    tasks: tuple[Labels, ...]
    features: dict[str, tuple[Candidate, ...]]  # by encoder
    encoders: Sequence[Encoder]
    plan: Plan
    stop: Event


def run(
    encoders: Sequence[Encoder],
    tasks: Sequence[Labels],
    plan: Plan,
    cache: VectorCache | None = None,
    *,
    watch: Callable[[str, int, int], None] | None = None,
) -> list[Record]:
    """Benchmark every encoder on every task.

    Args:
        encoders: feature maps; those with `candidates` (an attribute: encoders among which inner folds choose); methods
            with `fit_predict`. Their names are the rows, and must differ.
        tasks: labelled places.
        plan: what is done.
        cache: of vectors; by default one in memory.
        watch: told the tasks at work, the draws that are done and all that there are: for a progress bar.

    Raises:
        ValueError: when two encoders or two tasks have one name, or an encoder gives NaN.
    """
    for kind, names in (("encoders", [each.name for each in encoders]), ("tasks", [each.name for each in tasks])):
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"two {kind} are called {', '.join(sorted(twice))}; give each its own name")
    cache = cache or VectorCache()
    records: list[Record] = []
    groups = [(group, list(plan.draws_of(group[0]))) for group in _same_places([plan.sample(task) for task in tasks])]
    total, done = sum(len(draws) for _, draws in groups), 0
    tell = watch or (lambda _, __, ___: None)
    with one_thread(), ThreadPoolExecutor(plan.workers) as pool:
        for group, draws in groups:
            words = ", ".join(task.name for task in group)
            tell(words, done, total)
            features = {each.name: _candidates(each, group[0], cache) for each in encoders}
            stop = Event()
            jobs = [Job(draw, group, features, encoders, plan, stop) for draw in draws]
            log.info("%s: %d draws of %s places", words, len(jobs), f"{len(group[0].target):,}")
            try:
                for found in pool.map(_work, jobs):
                    records.extend(found)
                    done += 1
                    tell(words, done, total)
            except BaseException:
                stop.set()  # an interrupt waits for the fits at work, not for the rest of their draws
                pool.shutdown(cancel_futures=True)  # an error is told now, not after the draws that wait
                raise
    order = {task.name: number for number, task in enumerate(tasks)}
    return sorted(records, key=lambda record: order[record.task])


def _work(job: Job) -> list[Record]:
    """Every label count and encoder of one draw."""
    draw, places, found = job.draw, job.tasks[0].lonlat, []
    goals = [Goal(task.target, None if task.classes is None else len(task.classes)) for task in job.tasks]
    if len(draw.pool) < FEWEST_LABELS or not len(draw.test):
        log.warning("%s, draw %d: %d places are left to learn from; skipped", draw.holdout, draw.number, len(draw.pool))
        return []
    counts = list(job.plan.counts_of(draw))
    for asked, count in counts:
        drawn = asked == counts[-1][0] and "buffer" not in draw.holdout
        train = draw.pool[:count]
        inner = inner_folds(draw, train, places, folds=job.plan.inner_folds, seed=job.plan.seed)
        km = nearest(places[train], places[draw.test], 1)[0][:, 0]
        bins = np.searchsorted(DISTANCE_KM, km)
        for encoder in job.encoders:
            if job.stop.is_set():
                return []
            if isinstance(encoder, Predictor):
                answers = [
                    _predicted(encoder, task, goal, draw, train, inner)
                    for task, goal in zip(job.tasks, goals, strict=True)
                ]
                probe = "-"
            else:
                answers = job.plan.probe.answers(job.features[encoder.name], goals, train, draw.test, inner)
                probe = job.plan.probe.name
            for task, answer in zip(job.tasks, answers, strict=True):
                found.append(_record(task, encoder, probe, draw, asked, train, inner, bins, answer, drawn=drawn))
    return found


def _record(
    task: Labels,
    encoder: Encoder,
    probe: str,
    draw: Draw,
    asked: str,
    train: Rows,
    inner: InnerFolds,
    bins: Rows,
    answer: Answer,
    *,
    drawn: bool,
) -> Record:
    truth, predicted, regression = task.target[draw.test], answer.predicted, task.classes is None
    codes = truth.astype(np.int64)
    plain: NDArray[np.float64] | Rows = predicted if regression else predicted.argmax(1)
    return Record(
        task=task.name,
        encoder=encoder.name,
        seen=encoder.seen,
        probe=probe,
        holdout=draw.holdout,
        part=draw.part,
        draw=draw.number,
        asked=asked,
        labels=len(train),
        tested=len(draw.test),
        metric="R2" if regression else "accuracy",
        score=r_squared(predicted, truth.astype(np.float64)) if regression else accuracy(predicted, codes),
        macro_f1=np.nan if regression else macro_f1(predicted, codes),
        choice=answer.choice,
        inner_kind=inner.kind,
        absent=() if task.classes is None else absent_classes(task.target[train].astype(np.int64), codes, task.classes),
        by_cell=Sums.of(predicted, truth, draw.cells[draw.test], regression=regression),
        by_distance=Sums.of(predicted, truth, bins, regression=regression),
        predictions=Predictions(draw.test, plain) if drawn else None,
    )


def _predicted(method: Predictor, task: Labels, goal: Goal, draw: Draw, train: Rows, inner: InnerFolds) -> Answer:
    """A method's answer, and its score over the inner folds, each answered from the others."""
    loss, tested = 0.0, []
    for teach, held in inner:
        answer = _ask(method, task, train[teach], train[held], inner.fold[teach])
        loss += float(goal.losses((answer[:, None] if goal.classes is None else answer)[None], train[held])[0])
        tested.append(train[held])
    score = goal.score(loss, train, np.concatenate(tested)) if tested else np.nan
    return Answer(_ask(method, task, train, draw.test, inner.fold), Choice(score))


def _ask(method: Predictor, task: Labels, train: Rows, test: Rows, folds: Rows) -> Array:
    told = method.fit_predict(task.lonlat[train], task.target[train], task.lonlat[test], task.classes, folds)
    answer: Array = np.asarray(told)
    shape = (len(test),) if task.classes is None else (len(test), len(task.classes))
    if answer.shape != shape or not np.isfinite(answer).all():
        raise ValueError(
            f"{method.name}: {task.name} asks for finite {shape}, got {answer.shape}; mend its fit_predict"
        )
    return answer


def _candidates(encoder: Encoder, labels: Labels, cache: VectorCache) -> tuple[Candidate, ...]:
    if isinstance(encoder, Predictor):
        return ()
    members = encoder.candidates if isinstance(encoder, Group) else (encoder,)
    found = []
    for member in members:
        vectors = cache(member, labels.lonlat)
        found.append(Candidate(member.name, vectors, penalties_of(member, vectors.shape[1])))
    return tuple(found)


def _same_places(tasks: Sequence[Labels]) -> Iterator[tuple[Labels, ...]]:
    """Tasks on the very same places under the same hold-outs, together."""
    groups: dict[tuple[bytes, tuple[float, ...], bytes], list[Labels]] = {}
    for task in tasks:
        split = b"" if task.fixed_split is None else task.fixed_split.tobytes()
        groups.setdefault((task.lonlat.tobytes(), task.cell_degrees, split), []).append(task)
    yield from (tuple(group) for group in groups.values())
