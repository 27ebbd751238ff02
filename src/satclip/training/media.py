"""Tables and pictures of a report, for the loggers that show them: Weights & Biases."""

from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path

from lightning.pytorch.loggers import Logger, WandbLogger
from PIL import Image

from satclip.downstream.benchmark import curves, tables
from satclip.downstream.benchmark.answered import answered, mapped_key
from satclip.downstream.benchmark.clustering import bias_grid
from satclip.downstream.benchmark.markdown import HEADLINE
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.benchmark.tables import Cell, Grid
from satclip.downstream.table import Table
from satclip.training.loggers.wandb import TolerantWandbLogger

Rows = tuple[Sequence[str], list[list[object]]]  # names of the columns, and the rows


def log_media(
    loggers: Sequence[Logger], prefix: str, tables_: Mapping[str, Table], pictures: Mapping[str, Path]
) -> None:
    """Log tables and PNG files as `prefix/name`."""
    rows: dict[str, Rows] = {name: (table.columns, list(map(list, table.rows))) for name, table in tables_.items()}
    _log(loggers, prefix, rows, {name: str(path) for name, path in pictures.items()})


def log_benchmark(loggers: Sequence[Logger], prefix: str, found: Benchmark) -> None:
    """Log a benchmark as its page shows it: the headline, every score, the ceiling, geo-bias, curves and maps.

    Raises:
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    if any(isinstance(logger, WandbLogger) for logger in loggers):
        _log(loggers, prefix, dict(benchmark_tables(found)), dict(benchmark_pictures(found)))


def benchmark_tables(found: Benchmark) -> Iterator[tuple[str, Rows]]:
    """By name: gains, the scores of each task, ceiling, geo-bias; empty ones are left out."""
    lines = [
        [*names, score.text, _marked(over), _marked(best), best.note]
        for *names, score, over, best in tables.gain_lines(found)
    ]
    yield "gains", (HEADLINE, [list(line) for line in lines])
    grids: list[tuple[str, Grid | None]] = [(f"scores_{_slug(t)}", tables.score_grid(found, t)) for t in found.tasks]
    grids.append(("ceiling", tables.ceiling_grid(found)))
    grids += [(f"geo_bias_{_slug(task)}", bias_grid(found, task)) for task in found.tasks]
    for name, grid in grids:
        if grid is not None:
            heads = ("encoder", "task, hold-out, labels") if name == "ceiling" else ("row", "pretraining")
            rows: list[list[object]] = [[row, setting, *map(_marked, cells)] for row, setting, cells in grid.rows]
            yield name, ((*heads, *grid.columns), rows)


def benchmark_pictures(found: Benchmark) -> Iterator[tuple[str, Image.Image]]:
    """By name: curves of each task, and maps of the first subject's answers and errors."""
    from satclip.downstream.benchmark.maps import error_maps
    from satclip.downstream.benchmark.page import PANELS

    every = {"resolution": curves.resolution(found)}
    for task, labels in found.tasks.items():
        every |= {f"{_slug(task)}/{_slug(name)}": panel(found, task) for name, panel in PANELS.items()}
        key, subject = mapped_key(found, task), found.subjects[0]
        answers = answered(labels, found.results.of(key, subject))
        if answers is not None:
            every[f"{_slug(task)}/map"] = error_maps(labels, answers, f"{subject}: {task}, {key[1]}, {key[2]} labels")
    for name, figure in every.items():
        if figure is not None:
            target = BytesIO()
            figure.savefig(target, format="png", dpi=130)
            yield name, Image.open(target)


def _log(
    loggers: Sequence[Logger], prefix: str, rows: Mapping[str, Rows], pictures: Mapping[str, str | Image.Image]
) -> None:
    for logger in loggers:
        if not isinstance(logger, TolerantWandbLogger):
            continue
        with logger.tolerance():
            for name, (columns, data) in rows.items():
                logger.log_table(f"{prefix}/{name}", columns=list(columns), data=data)
            for name, picture in pictures.items():
                logger.log_image(f"{prefix}/{name}", [picture])


def _marked(cell: Cell) -> str:
    return f"{cell.text} ({cell.mark})" if cell.mark else cell.text


def _slug(words: str) -> str:
    return words.replace(" ", "_")
