"""The page of one run, report.html in its folder: what it is, what came of it, how to use it and make it again."""

import json
import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from satclip.runs import provenance
from satclip.runs.reports import charts, html
from satclip.runs.reports.read import read
from satclip.runs.reports.record import FINISHED, Record
from satclip.runs.reports.scoring import headline, shown
from satclip.runs.units import unit_of

PAGE = "report.html"
CURVES = ("train/loss", "val/loss", "val/image_to_location/top10")
CAPTIONS = {
    "globe": "The land, coloured by the first three principal components of the embedding: like colours, like places",
    "retrieval_examples": "Pictures of validation places, their own places (cross), and those found for them (points)",
}
# What a stranger finds in the folder.
FILES = {
    PAGE: "this page",
    "explorer.html": "a globe to click: what is like a place, regions, predictions",
    "globe.png": "the land, coloured by the first three principal components of the embedding",
    "metrics.json": "the figures of the best and of the last weights; there only when the run has finished",
    "metrics_units.json": "unit, better way and meaning of each of them",
    "failed.json": "why the last start ended before its time",
    "checkpoints/best.ckpt": "the best weights: what `satclip` commands take",
    "checkpoints/last.ckpt": "the newest weights, from which the run resumes",
    "benchmark/report.html": "the benchmark in full: curves, maps, every rival",
    "benchmark/summary.csv": "its scores with intervals, a line each",
    "benchmark/records.csv": "every fit of every probe",
    "csv/metrics.csv": "losses and validations by optimiser step",
    "retrieval.csv": "the search for places by their picture",
    "config.yaml": "the whole config, resolved",
    "provenance.json": "command, code, versions, machine and data of each start",
    "uncommitted.diff": "how the code differed from its commit",
    "train.log": "what the run said",
    ".hydra": "the config as Hydra composed it",
}


def save(folder: Path) -> Path | None:
    """Write the page of the run in `folder`; None where there is a page of another kind, which is left alone.

    Raises:
        OSError: it cannot be written.
    """
    target = folder / PAGE
    if not html.is_ours(target):
        return None
    return html.save(target, page(read(folder, folder.absolute().name)))


def page(run: Record) -> str:
    """The whole document."""
    name = run.config.get("name", "run")
    return html.document(f"{name}, {run.name}", "\n".join(_body(run, f"{name}, {run.name}")))


def _body(run: Record, title: str) -> Iterator[str]:
    note = f" <span class='note'>{escape(run.note)}</span>" if run.note else ""
    yield f"<h1>{escape(title)}</h1><p><span class='state {run.state}'>{run.state}</span>{note}</p>"
    epoch, last = run.figure("epoch"), run.figures.get("last/epoch")
    if epoch is not None and last is not None and run.state == FINISHED:
        yield f"<p>The tables and pictures are of the best weights, of epoch {epoch:.0f} of {last:.0f}.</p>"
    figures = [(name, run.figure(name)) for name in headline([run])]
    lines = [[name, shown(value, name), unit_of(name).unit, unit_of(name).means] for name, value in figures]
    yield html.table(("figure", "value", "unit", "meaning"), lines) if lines else "<p>No figure yet.</p>"
    if searched := _searched(run):
        yield f"<p class='small'>{escape(searched)}.</p>"
    probes = tuple(sorted(name for name in run.curves if name.startswith("probe/")))[:2]
    if image := html.drawing(charts.curves({run.name: run.curves}, (*CURVES, *probes)), "learning curves"):
        yield f"<h2>Learning curves</h2><div class='wide panels'>{image}</div>"
    for path in sorted(run.folder.glob("*.png")):
        if image := html.photo(path, path.stem):
            yield f"<figure>{image}<figcaption>{escape(CAPTIONS.get(path.stem, path.stem))}</figcaption></figure>"
    if (run.folder / "explorer.html").is_file():
        yield "<p><a href='explorer.html'>A globe to click</a>: what is like a place, regions, predictions.</p>"
    yield from _tables(run)
    yield from _use(run)
    yield from _made_by(run)
    there = [(name, words) for name, words in FILES.items() if name == PAGE or (run.folder / name).exists()]
    yield f"<h2>What lies in this folder</h2>{html.table(('file', 'what it is'), there)}"
    options = html.table(("option", "value"), run.config.items())
    yield f"<h2>Options</h2><details><summary>All {len(run.config)}</summary>{options}</details>"


def _tables(run: Record) -> Iterator[str]:
    try:
        found: Any = json.loads((run.folder / "retrieval.json").read_text())
    except (OSError, ValueError):
        found = None
    if isinstance(found, list) and found and all(isinstance(each, dict) for each in found):
        lines = [[_cell(value, key) for key, value in each.items()] for each in found]
        yield f"<h2>Finding a place by its picture</h2><p class='small'>{escape(_searched(run))}</p>"
        yield html.table(["median, km" if key == "median_km" else str(key) for key in found[0]], lines)
    if run.scores:
        over = ("over_untrained", "over_untrained_low", "over_untrained_high")
        lines = [
            [each["task"], each["holdout"], each["asked"], each.get("metric", ""),
             _interval(each, "score", "low", "high"), _interval(each, *over, signed=True)]
            for each in run.scores
        ]  # fmt: skip
        yield "<h2>What it can predict where no label is near</h2>"
        yield html.table(("task", "hold-out", "labels", "metric", "score", "gain over untrained"), lines)
        there = (run.folder / "benchmark" / PAGE).is_file()
        more = "<a href='benchmark/report.html'>The benchmark in full</a> has curves, maps and rivals." if there else ""
        yield f"<p class='small'>With 95 % intervals over cells; a gain whose interval holds 0 is a tie. {more}</p>"


def _use(run: Record) -> Iterator[str]:
    folder = shlex.quote(str(run.folder.absolute()))
    if any((run.folder / "checkpoints").glob("*.ckpt")):
        yield "<h2>Embed places with it</h2>"
        yield html.command(f"satclip embed places.csv --model {folder} -o places.parquet")
        yield html.command(
            "from satclip import load_location_encoder\n\n"
            f"encoder = load_location_encoder({str(run.folder.absolute() / 'checkpoints' / 'best.ckpt')!r})\n"
            "vectors = encoder.embed([[2.35, 48.86]])  # longitude, latitude in degrees"
        )
    yield f"<h2>Resume it</h2>{html.command(f'satclip resume {folder}')}"
    yield "<h2>Make it again</h2><p>In a new folder, with the same options; it says first what is not as it was:</p>"
    yield html.command(f"satclip rerun {folder}")


def _made_by(run: Record) -> Iterator[str]:
    yield f"<h2>How it was made</h2>{html.command(run.command)}"
    for start in provenance.starts(run.folder):
        git, machine, data = (start.get(name) or {} for name in ("git", "hardware", "data"))
        changed = f", with changes in {len(git['changed'])} files" if git.get("changed") else ""
        kept = f" ({git['diff']})" if git.get("diff") else ""
        yield html.pairs({
            "begun": f"{start.get('time', '')} from step {start.get('from_step', 0)}",
            "in": str(start.get("folder", "")),
            "code": f"commit {git['commit']}{changed}{kept}" if git.get("commit") else "",
            "versions": ", ".join(f"{name} {value}" for name, value in (start.get("versions") or {}).items()),
            "machine": ", ".join(str(value) for name, value in machine.items() if value and name != "gpus"),
            "GPUs": ", ".join(machine.get("gpus") or []),
            "data": ", ".join(f"{name} {value}" for name, value in data.items()),
        })  # fmt: skip


def _interval(line: Any, *names: str, signed: bool = False) -> str:
    try:
        numbers = [float(line[name]) for name in names]
    except (KeyError, ValueError):
        return "–"
    form = "{:+.2f} [{:+.2f}, {:+.2f}]" if signed else "{:.2f} [{:.2f}, {:.2f}]"
    return form.format(*numbers)


def _searched(run: Record) -> str:
    """The title of the search's table: among which places, and whether the training saw them."""
    try:
        return next(iter((run.folder / "retrieval.md").read_text().splitlines()), "").strip("*")
    except (OSError, ValueError):
        return ""


def _cell(value: Any, column: str) -> str:
    return shown(value, f"retrieval/image_to_location/{column}") if isinstance(value, float) else str(value)
