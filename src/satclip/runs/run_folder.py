"""The files that say of a folder what was run there, and that it has finished."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from satclip.files import atomic_file
from satclip.runs.units import table_of

METRICS = "metrics.json"  # the figures of a run; there only when it has finished
UNITS = "metrics_units.json"  # unit, better way and meaning of each of them
FAILED = "failed.json"  # why the last start ended before its time
JOB = "job.json"  # the options of a multirun's job


def traces(folder: Path) -> list[Path]:
    """What a run has left in `folder` that another one would write over: its checkpoints and its figures."""
    return [path for path in (*sorted((folder / "checkpoints").glob("*.ckpt")), folder / METRICS) if path.exists()]


def refuse_another(folder: Path, checkpoint: str | None) -> None:
    """Stop a run that would write over the one that `folder` holds; to resume from a checkpoint in it is no other run.

    Raises:
        FileExistsError: names what is there.
    """
    own = checkpoint is not None and (checkpoint == "auto" or folder.resolve() in Path(checkpoint).resolve().parents)
    if not own and (left := traces(folder)):
        raise FileExistsError(
            f"there is a run in this folder already ({left[0]}); resume it by ckpt_path=auto, choose another "
            f"folder by hydra.run.dir=FOLDER, or remove {folder} to begin anew"
        )


def begin(folder: Path) -> None:
    """Say that the run in `folder` has not finished."""
    for name in (METRICS, FAILED):
        (folder / name).unlink(missing_ok=True)


def finish(folder: Path, metrics: Mapping[str, float]) -> None:
    """Say by its figures that the run in `folder` has finished."""
    _write(folder / UNITS, table_of(metrics))
    _write(folder / METRICS, metrics)


def fail(folder: Path, reason: str) -> None:
    """Say why the run in `folder` has ended before its time, where that can still be written."""
    with suppress(OSError):  # the disk may be what failed
        _write(folder / FAILED, {"error": reason})


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
        ValueError: another job was, or a run of no multirun.
    """
    try:
        before = json.loads((folder / JOB).read_text())["options"]
    except FileNotFoundError:
        if found := traces(folder):
            raise ValueError(
                f"{found[0]} is of a run that no multirun began; give another hydra.sweep.dir, or remove {folder}"
            ) from None
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
