"""Which runs lie under some folders, those that are missing included."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from satclip.runs import provenance
from satclip.runs.reports.read import LOADER, is_run, read
from satclip.runs.reports.record import MISSING, Record
from satclip.runs.reports.wandb_offline import is_offline_run, read_offline_run

SWEEP = "multirun.yaml"
INSIDE_A_RUN = {"checkpoints", "csv", "benchmark", "tensorboard", ".git", "node_modules"}


def records(folders: Sequence[Path]) -> list[Record]:
    """The runs in and under these folders, each once, by name in the order of a person (2 before 10).

    Raises:
        FileNotFoundError: a folder is not there, or there is no run under any of them.
    """
    roots = [folder.absolute() for folder in folders]
    for root in roots:
        if not root.is_dir():
            raise FileNotFoundError(f"there is no folder {root}; give a run's folder, or one with runs in it")
    seen: dict[Path, tuple[Path, Path]] = {}
    for root in roots:
        for folder in _runs(root):
            seen.setdefault(folder.resolve(), (root, folder))
    several = len({root for root, _ in seen.values()}) > 1
    found = [_read(folder, _name(root, folder, several=several)) for root, folder in seen.values()]
    for root in roots:
        found += _missing(root, {each.folder.resolve() for each in found}, several=several)
    if not found:
        raise FileNotFoundError(
            f"no run under {', '.join(map(str, folders))}: a run has .hydra/config.yaml or metrics.json in it; "
            "`python train.py` writes to outputs/, a sweep to multirun/"
        )
    return sorted(_unique(found), key=lambda each: _natural(each.name))


def is_sweep(folder: Path) -> bool:
    """Whether it is that of a multirun, or else holds runs and is none itself."""
    return folder.is_dir() and not is_run(folder) and not is_offline_run(folder)


def _runs(root: Path) -> Iterator[Path]:
    for place, inner, _ in os.walk(root, onerror=lambda _: None):
        folder = Path(place)
        if is_run(folder) or is_offline_run(folder):
            inner.clear()
            yield folder
        inner[:] = sorted(each for each in inner if each not in INSIDE_A_RUN and each != ".hydra")


def _read(folder: Path, name: str) -> Record:
    return read(folder, name) if is_run(folder) else read_offline_run(folder, name)


def _missing(root: Path, there: set[Path], *, several: bool) -> Iterator[Record]:
    """Jobs that a multirun was asked for and that have no folder: not begun, or removed."""
    for place in sorted(root.rglob(SWEEP)):
        try:
            hydra = yaml.load(place.read_text(), LOADER)["hydra"]
            parsed = OverridesParser.create().parse_overrides([str(each) for each in hydra["overrides"]["task"]])
            jobs = [job for batch in BasicSweeper.split_arguments(parsed, None) for job in batch]
        except (OSError, yaml.YAMLError, HydraException, KeyError, TypeError):
            continue  # another sweeper's, which asks for its jobs one by one
        if "basic_sweeper" not in str(hydra.get("sweeper", "basic_sweeper")):
            continue
        for number, job in enumerate(jobs):
            folder = place.parent / str(number)
            if folder.resolve() not in there and not folder.exists():
                name, given = _name(root, folder, several=several), tuple(job)
                options = dict(each.lstrip("+").split("=", 1) for each in given if "=" in each)
                yield Record(
                    name, folder, MISSING, "not begun, or removed", config=options, overrides=given,
                    command=provenance.line(list(given)),
                )  # fmt: skip


def _name(root: Path, folder: Path, *, several: bool) -> str:
    inner = folder.relative_to(root)
    if inner == Path():
        return root.name
    return str(Path(root.name) / inner) if several else str(inner)


def _unique(found: Sequence[Record]) -> Iterator[Record]:
    """Two folders of one name are told apart by their whole paths."""
    names = [each.name for each in found]
    for each in found:
        if names.count(each.name) == 1:
            yield each
        else:
            yield Record(**{**vars(each), "name": str(each.folder)})


def _natural(name: str) -> list[tuple[int, str]]:
    parts = name.replace("/", " / ").split()
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
