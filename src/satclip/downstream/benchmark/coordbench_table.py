"""CoordBench's own protocol for several encoders: `probe=coordbench`."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from satclip.downstream.contract import Encoder, Group, Labels, Predictor
from satclip.downstream.evaluate.coordbench import coordbench
from satclip.downstream.evaluate.threads import one_thread
from satclip.downstream.evaluate.vectors import VectorCache
from satclip.downstream.rivals.frozen import THE_IMAGE
from satclip.files import atomic_file

DEGREES = (0.0, 2.0, 10.0, 20.0, 40.0)


@dataclass(frozen=True)
class CoordBenchLine:
    """A row on a task: its score at 0 (random), 2, 10, 20, 40 degrees; None where the places lie in too few cells."""

    encoder: str
    seen: str
    task: str
    metric: str
    scores: tuple[float | None, ...]


def coordbench_lines(
    encoders: Sequence[Encoder],
    tasks: Sequence[Labels],
    *,
    version: int = 1,
    seed: int = 0,
    watch: Callable[[str, int, int], None] | None = None,
) -> Iterator[CoordBenchLine]:
    """Every encoder that is a fixed map, on every task with all of its places; ceilings, which see images, are none.

    Raises:
        ValueError: as `coordbench`.
    """
    cache = VectorCache()
    fixed = [each for each in encoders if not isinstance(each, Predictor | Group) and each.seen != THE_IMAGE]
    total = len(fixed) * len(tasks)
    with one_thread():
        for number, (task, encoder) in enumerate((task, encoder) for task in tasks for encoder in fixed):
            if watch is not None:
                watch(task.name, number, total)
            vectors = cache(encoder, task.lonlat)
            scores: list[float | None] = []
            for degrees in DEGREES:
                try:
                    scores.append(coordbench(vectors, task, degrees, version=version, seed=seed).score)
                except ValueError:
                    scores.append(None)
            yield CoordBenchLine(
                encoder.name, encoder.seen, task.name, "R2" if task.classes is None else "accuracy", tuple(scores)
            )


def save_lines(lines: Sequence[CoordBenchLine], folder: Path) -> Path:
    """Write coordbench.csv in a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["random" if not each else f"cells {each:g}" for each in DEGREES]
    with atomic_file(folder / "coordbench.csv") as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "row", "seen", "metric", *names])
        writer.writerows([each.task, each.encoder, each.seen, each.metric, *each.scores] for each in lines)
    return folder / "coordbench.csv"
