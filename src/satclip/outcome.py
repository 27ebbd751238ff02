"""The files that say of a folder what was run there, and that it has finished."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from satclip.data.atomic import atomic_file

METRICS = "metrics.json"  # the figures of a run; there only when it has finished
JOB = "job.json"  # the options of a multirun's job


def begin(folder: Path) -> None:
    """Say that the run in `folder` has not finished."""
    (folder / METRICS).unlink(missing_ok=True)


def finish(folder: Path, metrics: Mapping[str, float]) -> None:
    """Say by its figures that the run in `folder` has finished."""
    _write(folder / METRICS, metrics)


def metrics_of(folder: Path) -> dict[str, float] | None:
    """The figures that a finished run left in `folder`, or None where none has finished."""
    try:
        figures: dict[str, float] = json.loads((folder / METRICS).read_text())
    except FileNotFoundError:
        return None
    return figures


def begin_job(folder: Path, options: Sequence[str]) -> None:
    """Say which job of a multirun `folder` belongs to."""
    _write(folder / JOB, {"options": list(options)})


def holds_job(folder: Path, options: Sequence[str]) -> bool:
    """Whether this job of a multirun was begun in `folder` before.

    Raises:
        ValueError: another job was.
    """
    try:
        before = json.loads((folder / JOB).read_text())["options"]
    except FileNotFoundError:
        return False
    then, now = sorted({*before} - {*options}), sorted({*options} - {*before})
    if then or now:
        raise ValueError(
            f"{folder} holds another job: it was begun with `{' '.join(then)}`, this one has `{' '.join(now)}`; "
            "give another hydra.sweep.dir, or the options this sweep was begun with"
        )
    return True


def _write(target: Path, content: Mapping[str, Any]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as part:
        part.write_text(json.dumps(dict(content), indent=1))
