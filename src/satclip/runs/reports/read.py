"""From the folder of a run to its record, whatever of it is there."""

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from satclip.runs import lock, provenance, run_folder
from satclip.runs.again import OF_ONE_START, key_of
from satclip.runs.reports.record import FAILED, FINISHED, PRUNED, RUNNING, STOPPED, Curve, Record
from satclip.runs.sweeping import trial as trials

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where libyaml is there
DRAWN = ("train/", "val/", "probe/")  # figures that are curves
MOST_POINTS = 400  # of a curve


def is_run(folder: Path) -> bool:
    """Whether `folder` is that of a training: not of a sweep, and not of an evaluation."""
    config = folder / ".hydra" / "config.yaml"
    if config.is_file():
        return any(line.startswith("trainer:") for line in config.read_text(errors="replace").splitlines())
    return any((folder / name).is_file() for name in (run_folder.METRICS, run_folder.JOB, "csv/metrics.csv"))


def read(folder: Path, name: str) -> Record:
    """Its record. What is missing or damaged is left out, and a note says so; nothing is written."""
    notes: list[str] = []
    hydra = _mapping(_yaml(folder / ".hydra" / "hydra.yaml", notes).get("hydra"))
    choices = _mapping(_mapping(hydra.get("runtime")).get("choices"))
    config = _yaml(folder / ".hydra" / "config.yaml", notes) or _yaml(folder / "csv" / "hparams.yaml", notes)
    given = _list(folder / ".hydra" / "overrides.yaml") or _list(folder / run_folder.JOB)
    curves = dict(_curves(folder / "csv" / "metrics.csv", notes))
    finished = _figures(folder / run_folder.METRICS, notes)
    state, why = _state(folder, finished is not None)
    bad = [key for key, value in (finished or {}).items() if math.isnan(value)]
    if bad:
        notes.append(f"NaN: {', '.join(bad[:3])}{' and more' if len(bad) > 3 else ''}")
    figures = finished if finished is not None else {key: points[-1][1] for key, points in curves.items()}
    return Record(
        name=name,
        folder=folder,
        state=state,
        note="; ".join([*([why] if why else []), *notes]),
        choices={k: str(v) for k, v in choices.items() if v is not None and not k.startswith("hydra/")},
        config=dict(flat(config)),
        overrides=tuple(given),
        figures=figures,
        curves=curves,
        scores=_scores(folder),
        command=provenance.line([each for each in given if key_of(each) not in OF_ONE_START]),
    )


def flat(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a config by dotted names; lists are leaves."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from flat(value, f"{prefix}.{key}" if prefix else str(key))
    elif prefix:
        yield prefix, node if isinstance(node, str) else json.dumps(node, default=str)


def thinned(points: list[tuple[float, float]]) -> Curve:
    """At most MOST_POINTS of them, the first and the last included."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    last = len(points) - 1
    return tuple(points[round(number * last / (MOST_POINTS - 1))] for number in range(MOST_POINTS))


def _state(folder: Path, finished: bool) -> tuple[str, str]:
    if finished:  # whoever begins there again removes its metrics.json first
        return FINISHED, ""
    if lock.is_held(folder):
        return RUNNING, "running now"
    if trials.pruned(folder):
        return PRUNED, trials.why_pruned(folder)
    failed = folder / run_folder.FAILED
    if failed.is_file():
        try:
            return FAILED, str(json.loads(failed.read_text())["error"])
        except (OSError, ValueError, KeyError, TypeError):
            return FAILED, f"{failed.name} cannot be read"
    if (folder / "nan_batch.json").is_file():
        return FAILED, "a NaN or infinite loss: nan_batch.json names its samples"
    if any((folder / "checkpoints").glob("*.ckpt")):
        return STOPPED, "stopped before its end; it can be resumed"
    return FAILED, "ended before its first checkpoint; its log may say why"


def _figures(path: Path, notes: list[str]) -> dict[str, float] | None:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        notes.append(f"{path.name} cannot be read ({type(error).__name__})")
        return None
    if not isinstance(found, dict):
        return None
    return {key: float(value) for key, value in found.items() if isinstance(value, (int, float))}


def _curves(path: Path, notes: list[str]) -> Iterator[tuple[str, Curve]]:
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(line.replace("\0", "") for line in file):
                step = _number(row.get("step"))
                for key, text in row.items() if step is not None else ():
                    if text and key and key.startswith(DRAWN) and (value := _number(text)) is not None:
                        points[key].append((float(step or 0), value))
    except FileNotFoundError:
        return
    except (OSError, csv.Error) as error:
        notes.append(f"{path.name} cannot be read ({type(error).__name__})")
    yield from ((key, thinned(each)) for key, each in points.items())


def _scores(folder: Path) -> tuple[Mapping[str, str], ...]:
    """The lines of the benchmark that are of this run: those of the row that stands first."""
    for path in (folder / "benchmark" / "summary.csv", folder / "summary.csv"):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                lines = list(csv.DictReader(file))
        except (OSError, csv.Error, UnicodeDecodeError):
            continue
        if lines and {"task", "holdout", "asked", "row", "score", "low", "high"} <= lines[0].keys():
            return tuple(line for line in lines if line["row"] == lines[0]["row"])
    return ()


def _yaml(path: Path, notes: list[str]) -> dict[str, Any]:
    try:
        return _mapping(yaml.load(path.read_text(errors="replace"), LOADER))
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError) as error:
        notes.append(f"{path.name} cannot be read ({type(error).__name__})")
        return {}


def _list(path: Path) -> list[str]:
    """Options: of overrides.yaml, or of job.json."""
    try:
        found = yaml.load(path.read_text(errors="replace"), LOADER)
    except (OSError, yaml.YAMLError):
        return []
    found = found.get("options") if isinstance(found, dict) else found
    return [str(each) for each in found] if isinstance(found, list) else []


def _mapping(found: Any) -> dict[str, Any]:
    return {str(key): value for key, value in found.items()} if isinstance(found, dict) else {}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if not math.isinf(value) else math.nan
