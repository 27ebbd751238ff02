"""The page of several runs: table, parallel coordinates, curves, importance, benchmark, globes; and PNGs of it."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from satclip.plots.world import save as save_picture
from satclip.runs.reports import charts, html
from satclip.runs.reports.compare import SHORT, Comparison, columns, rows, spread_shown
from satclip.runs.reports.importance import METHOD
from satclip.runs.reports.options import SEED, brief
from satclip.runs.reports.record import Record
from satclip.runs.reports.scoring import better, figures_of, shown
from satclip.runs.units import unit_of

PAGE = "report.html"
POINTS = 200_000  # of all curves together, so that a page of thousands of runs still opens
GLOBES, SIDE_BY_SIDE, SETTINGS = 24, 8, 40


def save(found: Comparison, folder: Path, title: str) -> list[Path]:
    """Write report.html and the pictures in report/ to `folder`; returns them, the page first.

    Raises:
        OSError: they cannot be written there.
        FileExistsError: there is a report.html that is not of this kind.
    """
    target = folder / PAGE
    if not html.is_ours(target):
        raise FileExistsError(f"{target} is another page, which would be lost; -o FOLDER writes elsewhere")
    folder.mkdir(parents=True, exist_ok=True)
    made = {
        "scores.png": charts.overview(found),
        "scores_by_number.png": charts.against_number(found),
        "importance.png": charts.importances(found),
        "learning_curves.png": charts.learning(found),
    }
    written = [html.save(target, page(found, folder, title))]
    drawn = {folder / "report" / name: each for name, each in made.items() if each is not None}
    return [*written, *(save_picture(each, path) for path, each in drawn.items())]


def page(found: Comparison, folder: Path, title: str) -> str:
    """The whole document; links are relative to `folder`."""
    content = json.dumps(data(found, folder), separators=(",", ":"), allow_nan=False)
    content = content.replace("<", "\\u003c").replace("&", "\\u0026")  # nothing in it may end the script
    script = f"<script type='application/json' id='data'>{content}</script><script>{html.asset('sweep.js')}</script>"
    return html.document(title, "\n".join(_body(found, title)), script)


def data(found: Comparison, folder: Path) -> dict[str, Any]:
    """What the page's script shows."""
    figures = ["epoch", *figures_of(found.records)]
    names = sorted({name for each in found.records for name in each.curves})
    each_curve = max(8, POINTS // max(1, len(found.records) * max(1, len(names))))
    axis, other = charts.axes_of(found)
    return {
        "options": list(found.names),
        "figures": figures,
        "epoch": 0,
        "columns": columns(found),
        "short": SHORT,
        "units": {name: unit_of(name).unit for name in figures},
        "means": {name: f"{unit_of(name).means} [{unit_of(name).unit or 'no unit'}]" for name in figures},
        "higher": [name for name in figures if better(name) > 0],
        "score": found.score[0],
        "axis": axis or "",
        "colour": next((name for name in other if name != SEED), axis or ""),
        "curves": names,
        "runs": [_run(each, found, figures, each_curve, folder) for each in found.records],
    }


def _run(each: Record, found: Comparison, figures: list[str], points: int, folder: Path) -> dict[str, Any]:
    curves = {name: [[step, _finite(y)] for step, y in _fewer(line, points)] for name, line in each.curves.items()}
    return {
        "name": each.name,
        "state": each.state,
        "note": each.note,
        "o": [each.option(name) for name in found.names],
        "f": [_json(each.figure(name)) for name in figures],
        "c": curves,
        "page": link(each, folder),
    }


def link(each: Record, folder: Path) -> str:
    """The page of a run, as an address relative to `folder`; "" where there is none."""
    path = each.folder / PAGE
    if not path.is_file() or path.resolve() == (folder / PAGE).resolve():
        return ""
    return quote(os.path.relpath(path, folder).encode(errors="surrogateescape"))


def _body(found: Comparison, title: str) -> Iterator[str]:
    score, why = found.score
    yield f"<h1>{escape(title)}</h1>"
    what = ", ".join(found.varied) or "nothing but the seed"
    yield (
        f"<p>{len(found.records):,} runs: {escape(found.counts())}. What differs: {escape(what)}. "
        f"The best are those by <b>{escape(score)}</b> ({escape(why)}); figures are of each run's best weights.</p>"
    )
    best = found.best()
    if best is not None:
        mean, spread, count = best.spread(score)
        off = "" if math.isnan(spread) else f"{spread_shown(spread)} over {count} seeds"
        what = ", ".join(f"{name}={brief(value)}" for name, value in zip(found.varied, best.options, strict=True))
        said = f"{escape(score)} {shown(mean, score)}{off}"
        yield f"<p>Best setting: <b>{escape(what) or 'the only one'}</b>, {said}.</p>"
        yield html.command(best.runs[0].command)
    yield _controls()
    yield "<div class='wide'><table id='runs'><thead></thead><tbody></tbody></table></div>"
    yield "<button type='button' id='more'>more</button>"
    yield _choice("colour by", "colour") + "<div class='legend' id='legend'></div>"
    yield "<h2>Options and score</h2><p class='small'>A line a run that passes the filter, the first 600 in the "
    yield "order of the table (of learning curves, 60); the last axis is the score.</p>"
    yield "<div id='parallel'></div>"
    yield f"<div class='two'><div><h2>Score against one option</h2>{_choice('against', 'axis')}<div id='spread'></div>"
    yield f"</div><div><h2>Learning curves</h2>{_choice('figure', 'curve')}<div id='curves'></div></div></div>"
    if image := html.drawing(charts.against_number(found), "scores against the option that is a number"):
        yield "<h2>Which one serves which task</h2><p class='small'>Means over seeds, bars: their standard deviation; "
        yield "dashed: the same network untrained. A row a task, by hold-out (the side of the cells without a label) "
        yield f"and number of labels.</p><div class='wide panels'>{image}</div>"
    if image := html.drawing(charts.importances(found), "importance of each option"):
        yield f"<h2>Importance of each option</h2><p class='small'>{escape(METHOD)}</p>{image}"
    if len(found.settings) > 1:
        head, lines = rows(found)
        few = f", the best {SETTINGS} of {len(lines)}" if len(lines) > SETTINGS else ""
        yield f"<h2>Mean and spread over seeds{few}</h2>{html.table(head, lines[:SETTINGS])}"
    yield from _benchmark(found)
    yield from _globes(found)


def _controls() -> str:
    return (
        "<h2>Runs</h2><div class='bar'><input id='filter' type='search' aria-label='filter' placeholder='filter: text, "
        "or option=value, figure&lt;number'>"
        f"<select id='state' aria-label='state'></select>{_choice('score', 'score')}"
        "<span class='small' id='count'></span></div>"
    )


def _choice(words: str, name: str) -> str:
    return f"<label class='small'>{words} <select id='{name}'></select></label>"


def _benchmark(found: Comparison) -> Iterator[str]:
    """The best run of the best settings, side by side."""
    runs = [run for each in found.settings for run in each.runs[:1] if run.scores][:SIDE_BY_SIDE]
    if not runs:
        return
    lines = []
    for key in dict.fromkeys(_key(line) for run in runs for line in run.scores):
        cells = [_score(run, key) for run in runs]
        known = [value for value, _ in cells if not math.isnan(value)]
        top = max(known) if len(known) > 1 else math.nan
        marked = (f"<span class='{'best' if value == top else ''}'>{escape(text)}</span>" for value, text in cells)
        lines.append([*map(escape, (f"{key[0].replace('_', ' ')}, {key[3]}", key[1], key[2])), *marked])
    yield (
        f"<h2>Benchmark side by side</h2><p class='small'>One run of each of the {len(runs)} best settings; 95 % "
        "intervals over cells, each run by itself: where they overlap, a difference may be luck. Green: the highest of "
        "a line.</p>"
    )
    options = [[f"{name.rpartition('.')[2]}={run.option(name)}" for name in found.names] for run in runs]
    heads = (", ".join([run.name, *each]) for run, each in zip(runs, options, strict=True))
    yield f"<div class='sides'>{html.table(('task', 'hold-out', 'labels', *heads), lines, marked=True)}</div>"


def _key(line: Mapping[str, str]) -> tuple[str, ...]:
    return line["task"], line["holdout"], line["asked"], line.get("metric", "")


def _score(run: Record, key: tuple[str, ...]) -> tuple[float, str]:
    for line in run.scores:
        if _key(line) == key:
            try:
                score, low, high = (float(line[name]) for name in ("score", "low", "high"))
            except ValueError:
                break
            return score, f"{score:.2f} [{low:.2f}, {high:.2f}]"
    return math.nan, "–"


def _globes(found: Comparison) -> Iterator[str]:
    runs = [run for each in found.settings for run in each.runs if (run.folder / "globe.png").is_file()]
    if not runs:
        return
    few = f", those of the best {GLOBES} of {len(runs):,} runs" if len(runs) > GLOBES else ""
    yield (
        f"<h2>Globes{few}</h2><p class='small'>The first three principal components of each embedding as colours: each "
        "globe has its own.</p><div class='grid'>"
    )
    for run in runs[:GLOBES]:
        options = ", ".join(f"{name}={run.option(name)}" for name in found.names)
        image = html.photo(run.folder / "globe.png", f"globe of {run.name}", 480)
        yield f"<figure>{image}<figcaption>{escape(run.name)}: {escape(options)}</figcaption></figure>"
    yield "</div>"


def _fewer(line: Any, most: int) -> Any:
    return line if len(line) <= most else [line[round(i * (len(line) - 1) / (most - 1))] for i in range(most)]


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _json(value: float | None) -> float | str | None:
    return value if value is None else _finite(value) if math.isfinite(value) else "NaN"
