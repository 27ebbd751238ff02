"""One benchmark, from what was asked to what was found."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from satclip.downstream.benchmark.choose import Chosen
from satclip.downstream.benchmark.rows import Rows
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.runner import run
from satclip.downstream.evaluate.summary import Compared, Key, Results, Scored
from satclip.downstream.rivals.frozen import BLOCKS_OUT, GLOBE, NOTHING

WORDS = {NOTHING: "no pretraining", GLOBE: "transductive", BLOCKS_OUT: "blocks left out"}
UNKNOWN = "unknown"
EXPLAINED = {
    "transductive": "imagery of the whole globe was seen in pretraining, the held-out labels never",
    "blocks left out": (
        "some blocks were left out of pretraining; the test is inductive in those alone, transductive elsewhere"
    ),
    "no pretraining": "nothing was seen before the labels",
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
    """

    results: Results
    tasks: dict[str, Labels]
    subjects: tuple[str, ...]
    untrained: dict[str, str]
    settings: Settings
    skipped: tuple[str, ...]
    seconds: float

    @cached_property
    def scores(self) -> dict[tuple[Key, str], Scored]:
        """Every cell of the score table."""
        return {((each.task, each.holdout, each.asked), each.family): each for each in self.results.scores()}

    @cached_property
    def ties(self) -> dict[Key, set[str]]:
        """By column, the best family and those that are not clear of it."""
        return {key: set(self.results.ties(key)) for key in self.results.keys}

    def gains(self, subject: str) -> dict[Key, tuple[Compared | None, Compared | None]]:
        """By key, the paired difference to untrained and to the best rival chosen by inner score."""
        rivals = {(c.task, c.holdout, c.asked): c for c in self.results.against_best(subject)}
        plain: dict[Key, Compared] = {}
        if subject in self.untrained:
            plain = {(c.task, c.holdout, c.asked): c for c in self.results.against(subject, self.untrained[subject])}
        return {key: (plain.get(key), rivals.get(key)) for key in self.results.keys if self.results.of(key, subject)}

    def setting_of(self, family: str) -> str:
        """Transductive or not, by what the encoder has seen."""
        record = next(record for record in self.results.records if record.family == family)
        return WORDS.get(record.seen, UNKNOWN)


def benchmark(
    rows: Rows, chosen: Chosen, settings: Settings, watch: Callable[[str, int, int], None] | None = None
) -> Benchmark:
    """Run it.

    Raises:
        ValueError: no task is at hand, or none gives a single draw with the labels asked for.
        ModuleNotFoundError: the `evaluate` extra is not installed.
    """
    if not chosen.tasks:
        raise ValueError(f"no task has its labels here: {'; '.join(chosen.missing) or 'none was asked for'}")
    start = time.monotonic()
    plan = settings.plan()
    records = run(rows.rows, chosen.tasks, plan, watch=watch)
    if not records:
        counts = ", ".join(map(str, settings.labels))
        raise ValueError(f"no task has more places than the labels asked for ({counts}); ask for fewer, or for all")
    results = Results(records)
    tried = {record.task for record in records}
    without = [
        f"{task.name}: {len(task.target)} places leave nothing to test with these labels and hold-outs; ask for fewer"
        for task in chosen.tasks
        if task.name not in tried
    ]
    return Benchmark(
        results,
        {task.name: plan.sample(task) for task in chosen.tasks if task.name in tried},
        rows.subjects,
        dict(rows.untrained),
        settings,
        (*chosen.missing, *rows.missing, *without),
        time.monotonic() - start,
    )
