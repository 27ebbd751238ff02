"""One self-contained HTML page: no network, no scripts, pictures inside."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

from matplotlib.figure import Figure

from satclip.downstream.benchmark import curves, tables, words
from satclip.downstream.benchmark.answered import answered, mapped_key
from satclip.downstream.benchmark.clustering import bias_grid
from satclip.downstream.benchmark.maps import error_maps
from satclip.downstream.benchmark.markdown import HEADLINE
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.benchmark.style import STYLE
from satclip.downstream.benchmark.tables import Cell, Grid
from satclip.downstream.table import Table

# Of each task; a panel that has nothing to show gives None.
PANELS: Mapping[str, Callable[[Benchmark, str], Figure | None]] = {
    "learning curves": curves.learning,
    "score by size of the hold-out": curves.sizes,
    "score by distance to the nearest label": curves.distances,
}


def page(
    found: Benchmark,
    *,
    beside: Sequence[Table] = (),
    pictures: Mapping[str, Path] = MappingProxyType({}),
    panels: Mapping[str, Callable[[Benchmark, str], Figure | None]] = PANELS,
) -> str:
    """The whole document.

    Args:
        found: the benchmark.
        beside: further tables, which stand after the headline.
        pictures: PNG files by the words that describe them, after those.
        panels: curves of each task, by the words that describe them.

    Raises:
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    body = "\n".join(_body(found, beside, pictures, panels))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(words.title(found))}</title><style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def _body(
    found: Benchmark,
    beside: Sequence[Table],
    pictures: Mapping[str, Path],
    panels: Mapping[str, Callable[[Benchmark, str], Figure | None]],
) -> Iterator[str]:
    yield f"<h1>{escape(words.title(found))}</h1><p class='small'>{escape(words.protocol(found))}</p>"
    yield f"<p>{escape(words.READING)}</p>"
    yield "<nav>" + "".join(f"<a href='#{_anchor(task)}'>{escape(task)}</a>" for task in found.tasks) + "</nav>"
    yield _headline(found)
    yield _list([f"{word}: {meaning}" for word, meaning in words.settings(found)] + words.holdouts(found))
    for table in beside:
        yield f"<h3>{escape(table.title)}</h3>{_plain(table)}"
    for name, path in pictures.items():
        yield f"<figure>{_image(path.read_bytes(), 'image/png', name)}<figcaption>{escape(name)}</figcaption></figure>"
    if (grid := tables.ceiling_grid(found)) is not None:
        yield f"<h2>{escape(grid.title)}</h2><p class='small'>{escape(words.CEILING)}</p>"
        yield _grid(grid, found.subjects, heads=("encoder", "task, hold-out, labels"))
    if (figure := curves.resolution(found)) is not None:
        yield f"<h2>How fine a pattern it resolves</h2>{picture(figure, 'accuracy by the width of the pattern')}"
    for task in found.tasks:
        yield f"<h2 id='{_anchor(task)}'>{escape(task)}</h2>"
        yield _about(found, task)
        yield _grid(tables.score_grid(found, task), found.subjects)
        yield _figures({name: panel(found, task) for name, panel in panels.items()})
        yield from _maps(found, task)
        if "100" in {key[2] for key in found.results.keys if key[0] == task} and len(found.settings.labels) > 1:
            grid = tables.labels_grid(found, task, "100")
            yield "<h3>Labels that a rival needs for the score reached with 100</h3>"
            yield _grid(grid, (), heads=("rival", "pretraining"))
            yield "<p class='small'>3.0: three times as many; &gt;: not reached with all that it got; &lt;: fewer.</p>"
        if (bias := bias_grid(found, task)) is not None:
            yield f"<h3>{escape(bias.title.partition(': ')[2].capitalize())}</h3>{_grid(bias, found.subjects)}"
            yield f"<p class='small'>{escape(words.GEO_BIAS)}</p>"
    if found.skipped:
        yield f"<h2>Skipped</h2>{_list(found.skipped)}"


def picture(figure: Figure, words_: str, *, pixels: bool = False) -> str:
    """A figure as an image inside the page: SVG, or PNG where it has thousands of points."""
    target = BytesIO()
    kind, mime = ("png", "image/png") if pixels else ("svg", "image/svg+xml")
    figure.savefig(target, format=kind, metadata=None if pixels else {"Date": None})
    return _image(target.getvalue(), mime, words_)


def _image(content: bytes, mime: str, words_: str) -> str:
    data = base64.b64encode(content).decode()
    return f"<img alt='{escape(words_, quote=True)}' src='data:{mime};base64,{data}'>"


def _plain(table: Table) -> str:
    lines = ["".join(f"<td class='figure'>{escape(cell)}</td>" for cell in row) for row in table.texts()]
    return _table(table.columns, [f"<tr>{line}</tr>" for line in lines])


def _headline(found: Benchmark) -> str:
    lines: list[str] = []
    before = ("", "")
    for subject, setting, task, holdout, asked, score, over, best in tables.gain_lines(found):
        whose = f"<td class='name'>{escape(subject)}</td><td class='tag'>{escape(setting)}</td>"
        which = f"<td><a href='#{_anchor(task)}'>{escape(task)}</a></td>"
        lines.append(
            f"<tr>{whose if subject != before[0] else '<td></td><td></td>'}"
            f"{which if (subject, task) != before else '<td></td>'}<td>{escape(holdout)}</td>"
            f"<td class='figure'>{escape(asked)}</td>"
            f"<td class='figure'>{escape(score.text)} <span class='tag'>{escape(score.note)}</span></td>"
            f"<td class='figure'>{_figure(over)}</td><td class='figure'>{_figure(best)}</td>"
            f"<td class='tag'>{escape(best.note)}</td></tr>"
        )
        before = (subject, task)
    return _table(HEADLINE, lines)


def _grid(grid: Grid, subjects: Sequence[str], *, heads: tuple[str, str] = ("row", "pretraining")) -> str:
    lines, before = [], ""
    for name, setting, cells in grid.rows:
        figures = "".join(
            f"<td class='figure' title='{escape(cell.note, quote=True)}'>{_figure(cell)}</td>" for cell in cells
        )
        kind = "" if name in subjects else " class='rival'"
        lines.append(
            f"<tr{kind}><td class='name'>{escape(name) if name != before else ''}</td>"
            f"<td class='tag'>{escape(setting)}</td>{figures}</tr>"
        )
        before = name
    return _table((*heads, *grid.columns), lines)


def _figure(cell: Cell) -> str:
    tie = " <span class='tag'>tie</span>" if cell.mark == tables.TIED else ""
    return f"<span class='{cell.mark}'>{escape(cell.text)}</span>{tie}"


def _table(columns: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"


def _figures(drawn: Mapping[str, Figure | None]) -> str:
    images = [f"<div>{picture(figure, name)}</div>" for name, figure in drawn.items() if figure is not None]
    return f"<div class='figures'>{''.join(images)}</div>"


def _maps(found: Benchmark, task: str) -> Iterator[str]:
    """Of each subject."""
    key = mapped_key(found, task)
    for subject in found.subjects:
        answers = answered(found.tasks[task], found.results.of(key, subject))
        if answers is not None:
            heading = f"{subject}: {task}, {key[1]}, {key[2]} labels"
            maps = picture(error_maps(found.tasks[task], answers, heading), f"maps of {heading}", pixels=True)
            yield f"<div class='wide maps'>{maps}</div>"


def _about(found: Benchmark, task: str) -> str:
    labels = found.tasks[task]
    absent = sorted({name for each in found.scores.values() if each.task == task for name in each.absent})
    text = f"{words.labelled(labels)}."
    if absent:
        some = ", ".join(absent[:6]) + (f" and {len(absent) - 6} more" if len(absent) > 6 else "")
        text += f" Tested in some draw without ever being taught: {some}."
    return f"<p class='small'>{escape(text)}</p>"


def _list(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _anchor(task: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in task)
