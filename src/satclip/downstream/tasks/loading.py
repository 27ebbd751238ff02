"""What every task does: find its file, leave out rows without a label, keep at most so many rows."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import GLOBAL_CELLS, Labels, Target
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.origins import ORIGINS
from satclip.files import sha256_of

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
Root = str | Path | Sequence[str | Path] | None
DEFAULT_ROOT = "data/tasks"


@dataclass(frozen=True)
class FromFiles:
    """What every task that is read from files is asked.

    Args:
        root: the folder, or folders, of the tasks.
        max_rows: at most so many places, drawn by `seed`; None for all.
        seed: of the draw.
    """

    root: Root = DEFAULT_ROOT
    max_rows: int | None = None
    seed: int = 0


def found(root: Root, *files: str) -> Path | None:
    """The first of `files` (paths below a root) that lies in any of the folders `root`, there or without its folder."""
    for folder in _folders(root):
        for file in files:
            for path in (folder / file, folder / Path(file).name):
                if path.is_file():
                    _compare(path)
                    return path
    return None


def located(task: str, root: Root, *files: str, remedy: str) -> Path:
    """The same.

    Raises:
        TaskDataMissing: none of them is there.
    """
    path = found(root, *files)
    if path is None:
        raise TaskDataMissing(task, f"{remedy} (looked for {', '.join(files)} in {_shown(root)})")
    return path


@contextmanager
def readable(source: str | Path) -> Iterator[None]:
    """Name the map that a library cannot read: it says what is wrong, but rarely where.

    Raises:
        ValueError: with the name and what to do.
    """
    try:
        yield
    except (OSError, KeyError, RuntimeError) as error:  # of h5py, Pillow and GDAL (pyogrio's are RuntimeErrors)
        raise ValueError(f"{source} cannot be read ({' '.join(str(error).split())}); fetch it again") from error


def labelled(
    name: str,
    lonlat: Array,
    target: Target,
    *,
    source: str,
    classes: tuple[str, ...] | None = None,
    unit: str = "",
    cells: tuple[float, ...] = GLOBAL_CELLS,
    test: NDArray[np.bool_] | None = None,
    max_rows: int | None = None,
    seed: int = 0,
) -> Labels:
    """Labels of the rows that have one, at most `max_rows` of them, drawn by `seed`; what is left out is logged.

    Args:
        name: of the task.
        lonlat: degrees [N, 2], NaN where missing.
        target: NaN where a number is missing, -1 where a class is.
        source: what the labels were read from, for the log.
        classes: names of the classes; those that no row has are left out.
        unit: of the target.
        cells: sizes of held-out cells in degrees.
        test: True for the test rows of a split that comes with the set.
        max_rows: at most so many rows are kept; None for all.
        seed: of the draw.

    Raises:
        ValueError: no row has a label, a place is none, or `max_rows` is not positive.
    """
    if max_rows is not None and (not isinstance(max_rows, int) or max_rows < 1):
        raise ValueError(f"{name}: max_rows must be 1 or more, or null for all, got {max_rows!r}")
    known = np.isfinite(target) if classes is None else np.asarray(target >= 0)
    known &= np.isfinite(lonlat).all(1)
    rows = np.flatnonzero(known)
    if not len(rows):
        raise ValueError(
            f"{name}: none of the {len(target)} rows of {source} has a place and a label; check its columns"
        )
    drawn = rows
    if max_rows is not None and len(rows) > max_rows:
        drawn = np.sort(np.random.default_rng(seed).choice(rows, max_rows, replace=False))
    log.info(
        "%s: %s places from %s; %s rows without a label, %s beyond max_rows left out",
        *(name, f"{len(drawn):,}", source, f"{len(target) - len(rows):,}", f"{len(rows) - len(drawn):,}"),
    )
    kept = target[drawn]
    if classes is not None:
        held, kept = np.unique(kept, return_inverse=True)
        classes = tuple(classes[code] for code in held)
        kept = kept.astype(np.int64)
    return Labels(name, lonlat[drawn], kept, classes, unit, cells, None if test is None else test[drawn])


def _compare(path: Path) -> None:
    """Say of a file that is not the published one: cut short at the end of a line, nothing else would."""
    for origin in ORIGINS:
        known = origin.sha256 if origin.file == path.name else None
        if known is not None and sha256_of(path) != known:
            log.warning(
                "%s is not the published file (its SHA-256 differs): scores do not compare; "
                "python scripts/fetch_tasks.py %s says how to get that one",
                *(path, origin.task),
            )


def _folders(root: Root) -> list[Path]:
    folders = [root] if isinstance(root, str | Path) else list(root or [])
    return [Path(folder).expanduser() for folder in folders]


def _shown(root: Root) -> str:
    folders = _folders(root)
    if any(folder.exists() and not folder.is_dir() for folder in folders):
        raise ValueError(f"{', '.join(map(str, folders))}: a file is no folder of tasks; give --tasks-root a folder")
    return (
        ", ".join(f"{folder}{'' if folder.exists() else ', which is not there'}" for folder in folders)
        or "no folder: tasks.root is not set"
    )
