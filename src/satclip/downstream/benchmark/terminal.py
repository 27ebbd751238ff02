"""A benchmark on the terminal: its progress and its tables."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from satclip.downstream.benchmark import tables, words
from satclip.downstream.benchmark.coordbench_table import DEGREES, CoordBenchLine
from satclip.downstream.benchmark.run import UNKNOWN, WORDS, Benchmark
from satclip.downstream.benchmark.tables import Cell

COLOURS = {"best": "green", tables.BETTER: "green", tables.WORSE: "red", tables.TIED: "dim"}
NARROWEST = 150  # columns of a table that is not wrapped, where the output is no terminal


@contextmanager
def watching(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar on standard error, which is told the work at hand, what is done and all there is; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(title, total=None)
        yield lambda words_, done, total: progress.update(task, description=words_, completed=done, total=total)


def tell(found: Benchmark) -> None:
    """Print the headline, then what was skipped."""
    console = _console()
    for subject in found.subjects:
        shown = Table(
            title=f"{subject} ({found.setting_of(subject)})", title_justify="left", box=None, header_style="dim"
        )
        for name in ("task", "hold-out", "labels", "score", "over untrained", "over the best rival", "which is"):
            shown.add_column(name, justify="right" if name == "labels" else "left", no_wrap=True)
        before = ""
        for name, _, task, holdout, asked, score, over, best in tables.gain_lines(found):
            if name != subject:
                continue
            first = f"{task} ({score.note})" if task != before else ""
            before = task
            shown.add_row(first, holdout, asked, _cell(score), _cell(over), _cell(best), best.note)
        console.print(shown)
        console.print()
    for word, meaning in words.settings(found):
        console.print(f"{word}: {meaning}", style="dim", highlight=False)
    console.print(words.protocol(found), style="dim", highlight=False)
    _skipped(found.skipped)


def tell_short(found: Benchmark) -> None:
    """Print what the end of a training says: every row's score in one table; the best of a line and its ties green."""
    heads, lines = tables.compact(found)
    title = f"Labels predicted where none is near; {found.setting_of(found.subjects[0])}"
    shown = Table(title=title, title_justify="left", box=None, header_style="dim", padding=(0, 1))
    for number, name in enumerate(heads):
        shown.add_column(name, no_wrap=number < 3, justify="right" if number == 2 else "left")
    before = ""
    for (task, holdout, asked), scores, gain in lines:
        shown.add_row(task if task != before else "", holdout, asked, *map(_cell, scores), _cell(gain))
        before = task
    console = _console()
    console.print(shown)
    console.print()
    console.print(words.short(found), style="dim", highlight=False)


def tell_rows(found: Benchmark, task: str) -> None:
    """Print every row's score on a task; the best of a column and its ties are green."""
    grid = tables.score_grid(found, task)
    shown = Table(title=grid.title, title_justify="left", box=None, header_style="dim")
    for name in ("row", "pretraining", *grid.columns):
        shown.add_column(name, no_wrap=True)
    for name, setting, cells in grid.rows:
        shown.add_row(name, setting, *(_cell(cell) for cell in cells))
    console = _console()
    console.print(shown)
    console.print()


def tell_coordbench(lines: Sequence[CoordBenchLine], skipped: Sequence[str]) -> None:
    """Print CoordBench's table."""
    shown = Table(title="CoordBench, version 1 (penalised intercept; penalty chosen on the test folds: optimistic)")
    for name in (
        "task",
        "row",
        "pretraining",
        "",
        *("random" if not each else f"{each:g} degrees" for each in DEGREES),
    ):
        shown.add_column(name)
    for line in lines:
        scores = ["-" if score is None else f"{score:.4f}" for score in line.scores]
        shown.add_row(line.task, line.encoder, WORDS.get(line.seen, UNKNOWN), line.metric, *scores)
    _console().print(shown)
    _skipped(skipped)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=NARROWEST)


def _cell(cell: Cell) -> str:
    colour = COLOURS.get(cell.mark)
    words_ = f"{cell.text} {cell.mark}" if cell.mark == tables.TIED else cell.text
    escaped = words_.replace("[", r"\[")
    return f"[{colour}]{escaped}[/]" if colour else escaped


def _skipped(lines: Sequence[str]) -> None:
    for line in lines:
        Console(stderr=True).print(f"skipped {line}", soft_wrap=True, highlight=False, markup=False)
