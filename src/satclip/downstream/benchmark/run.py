"""One benchmark, from what was asked to what was found."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from satclip.downstream.benchmark.choose import Chosen
from satclip.downstream.benchmark.own_blocks import own_blocks
from satclip.downstream.benchmark.rows import Rows
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.intervals import Interval
from satclip.downstream.evaluate.runner import run
from satclip.downstream.evaluate.summary import Compared, Key, Results, Scored
from satclip.downstream.evaluate.vectors import VectorCache
from satclip.downstream.rivals.frozen import BLOCKS_OUT, GLOBE, NOTHING, THE_IMAGE

WORDS = {NOTHING: "no pretraining", GLOBE: "transductive", BLOCKS_OUT: "blocks left out", THE_IMAGE: "sees the image"}
INDUCTIVE = "inductive"
UNKNOWN = "unknown"
EXPLAINED = {
    "transductive": "imagery of the whole globe was seen in pretraining, the held-out labels never",
    "blocks left out": (
        "some blocks were left out of pretraining; the test is inductive in those alone, transductive elsewhere"
    ),
    "no pretraining": "nothing was seen before the labels",
    "sees the image": (
        "features of the image of the tested place itself, which no other row is shown: what the imagery knows, a "
        "ceiling and no rival"
    ),
    INDUCTIVE: "under the hold-out of its own blocks, whose imagery its training left out",
    UNKNOWN: "what it was pretrained on is not recorded in its file; it may have seen the held-out places",
}


@dataclass(frozen=True)
class Benchmark:
    """What was run and found.

    Attributes:
        results: all records.
        tasks: the places as they were used, by name.
        subjects: families that were asked about.
        untrained: by subject, its untrained family.
        settings: the protocol.
        skipped: tasks and rivals that were not run, in a line each with the way to get them.
        seconds: that it took.
        ceilings: by subject, the row of image features at the tested place.
        inductive: by hold-out, the subjects whose pretraining left the tested places out.
    """

    results: Results
    tasks: dict[str, Labels]
    subjects: tuple[str, ...]
    untrained: dict[str, str]
    settings: Settings
    skipped: tuple[str, ...]
    seconds: float
    ceilings: dict[str, str] = field(default_factory=dict)
    inductive: dict[str, frozenset[str]] = field(default_factory=dict)

    @cached_property
    def scores(self) -> dict[tuple[Key, str], Scored]:
        """Every cell of the score table."""
        return {((each.task, each.holdout, each.asked), each.family): each for each in self.results.scores()}

    @cached_property
    def ties(self) -> dict[Key, set[str]]:
        """By column, the best family and those that are not clear of it, ceilings apart."""
        return {key: set(self.results.ties(key, self.ceilings.values())) for key in self.results.keys}

    @cached_property
    def _compared(self) -> dict[str, dict[Key, tuple[Compared | None, Compared | None]]]:
        return {subject: self._gains(subject) for subject in self.subjects}

    def gains(self, subject: str) -> dict[Key, tuple[Compared | None, Compared | None]]:
        """By key, the paired difference to untrained and to the best rival chosen by inner score."""
        return self._compared[subject]

    def _gains(self, subject: str) -> dict[Key, tuple[Compared | None, Compared | None]]:
        rivals = {(c.task, c.holdout, c.asked): c for c in self.results.against_best(subject)}
        plain: dict[Key, Compared] = {}
        if subject in self.untrained:
            plain = {(c.task, c.holdout, c.asked): c for c in self.results.against(subject, self.untrained[subject])}
        return {key: (plain.get(key), rivals.get(key)) for key in self.results.keys if self.results.of(key, subject)}

    def distilled(self, subject: str) -> dict[Key, "Distilled"]:
        """By key, how far the subject has come from untrained to the ceiling; empty where either is missing."""
        if subject not in self.ceilings or subject not in self.untrained:
            return {}
        ceiling, plain = self.ceilings[subject], self.untrained[subject]
        found = {}
        for compared in self.results.against(ceiling, plain):
            key = (compared.task, compared.holdout, compared.asked)
            gain = self.gains(subject).get(key, (None, None))[0]
            if gain is None:
                continue
            room = compared.interval
            share = gain.interval.value / room.value if room.low > 0 else float("nan")
            found[key] = Distilled(self.scores[key, ceiling].interval, room, gain.interval, share)
        return found

    def setting_of(self, family: str, holdout: str = "") -> str:
        """Transductive or not, by what the encoder has seen; inductive under the hold-out of its own blocks."""
        if family in self.inductive.get(holdout, ()):
            return INDUCTIVE
        return WORDS.get(self._seen[family], UNKNOWN)

    @cached_property
    def _seen(self) -> dict[str, str]:
        return {record.family: record.seen for record in self.results.records}


@dataclass(frozen=True)
class Distilled:
    """What a subject has of what the imagery knows.

    Attributes:
        ceiling: score of the image features.
        room: the ceiling's gain over the untrained network.
        gain: the subject's.
        share: gain / room; NaN where the room is not clear of 0, so that there is nothing to distil.
    """

    ceiling: Interval
    room: Interval
    gain: Interval
    share: float


def benchmark(
    rows: Rows,
    chosen: Chosen,
    settings: Settings,
    watch: Callable[[str, int, int], None] | None = None,
    *,
    cache: VectorCache | None = None,
) -> Benchmark:
    """Run it.

    Args:
        rows: what is run.
        chosen: the tasks.
        settings: the protocol.
        watch: as for `satclip.downstream.evaluate.runner.run`.
        cache: of vectors; by default one in memory.

    Raises:
        ValueError: no task is at hand, or none gives a single draw with the labels asked for.
        ModuleNotFoundError: the `evaluate` extra is not installed.
    """
    if not chosen.tasks:
        raise ValueError(f"nothing to score: {'; '.join(chosen.missing) or 'no task was asked for; name some, or all'}")
    start = time.monotonic()
    plan = settings.plan()
    own = own_blocks(rows, chosen.tasks, settings)
    records = run(rows.rows, own.tasks, plan, cache, watch=watch)
    if not records:
        counts = ", ".join(map(str, settings.labels))
        raise ValueError(f"no task has more places than the labels asked for ({counts}); ask for fewer, or for all")
    results = Results(records)
    tried = {record.task for record in records}
    without = [
        f"{task.name}: {len(task.target)} places leave nothing to test with these labels and hold-outs; ask for fewer"
        for task in own.tasks
        if task.name not in tried
    ]
    return Benchmark(
        results,
        {task.name: plan.sample(task) for task in own.tasks if task.name in tried},
        rows.subjects,
        dict(rows.untrained),
        settings,
        (*chosen.missing, *rows.missing, *without, *own.without),
        time.monotonic() - start,
        dict(rows.ceilings),
        own.inductive,
    )
