"""`satclip evaluate`: what an encoder can predict, beside honest rivals."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from satclip.cli.failures import expected, need, tell_file

if TYPE_CHECKING:
    from satclip.downstream.benchmark.choose import Chosen
    from satclip.downstream.benchmark.rows import Rows

ROOT = "data/tasks"


@click.command(
    short_help="Score encoders on labelled places, beside honest rivals.",
    epilog="""\b
Examples:
  satclip evaluate outputs/run
  satclip evaluate best.ckpt microsoft/SatCLIP-ViT16-L10 geoclip --task air_temperature,elevation -o report
  satclip evaluate best.ckpt --full --holdout cells:10,cells:20 --labels 100,300,all
  satclip evaluate package.module:function --task checkerboard --rivals all

\b
A SOURCE is a checkpoint, a run folder, a name on the hub, geoclip, harmonics:10, csp:FILE, package.module:function,
or two of them joined by +. Beside each stand the same network untrained (three seeds), bare harmonics whose L is
chosen, and inverse distances. A gain whose interval holds 0 is a tie.""",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option(
    "--task",
    "tasks",
    multiple=True,
    default=("all",),
    show_default=True,
    metavar="NAMES",
    help="Tasks, by commas; all: every one whose labels are here. checkerboard:500 is a pattern of 500 km.",
)
@click.option(
    "--tasks-root",
    "roots",
    multiple=True,
    type=click.Path(path_type=Path),
    default=(ROOT,),
    show_default=True,
    metavar="DIR",
    help="Folder with the files of tasks; may be given several times.",
)
@click.option(
    "--holdout",
    metavar="NAMES",
    help="random, cells (10 degrees, less for a region), cells:all, cells:20, continents, buffers, fixed.",
)
@click.option("--labels", metavar="COUNTS", help="Label counts, by commas; all is all of them.")
@click.option("--draws", type=click.IntRange(min=1), help="Draws of a hold-out; five test every place once.")
@click.option(
    "--probe",
    type=click.Choice(["ridge", "knn", "mlp", "range", "coordbench"]),
    default="ridge",
    show_default=True,
    help="What reads the labels off the vectors.",
)
@click.option(
    "--rivals",
    default="default",
    show_default=True,
    metavar="NAMES",
    help="default, all, none, or further rows beside the default ones.",
)
@click.option("--full", is_flag=True, help="The whole protocol: every hold-out, 30 labels to all, 10 draws; minutes.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Report.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
def evaluate(
    sources: tuple[str, ...],
    tasks: tuple[str, ...],
    roots: tuple[Path, ...],
    *,
    holdout: str | None,
    labels: str | None,
    draws: int | None,
    probe: str,
    rivals: str,
    full: bool,
    output: Path | None,
    seed: int,
) -> None:
    """Score each SOURCE on labelled places that it was never taught, beside honest rivals.

    Without --full a quick protocol: 100 and 300 labels, random and 10-degree cells, five draws, about a minute.
    Vectors are kept in ~/.cache/satclip (SATCLIP_CACHE), a gibibyte of them at most.
    """
    need("evaluate", "scipy", "sklearn", "threadpoolctl")

    from dataclasses import replace

    from satclip.downstream.benchmark.choose import by_name
    from satclip.downstream.benchmark.files import check_folder
    from satclip.downstream.benchmark.rows import rows
    from satclip.downstream.benchmark.settings import FULL, QUICK, words

    with expected(ValueError, OSError, ModuleNotFoundError):
        if output is not None:
            check_folder(output)
        base = FULL if full else QUICK
        settings = replace(
            base,
            holdouts=words(holdout) if holdout is not None else base.holdouts,
            labels=words(labels) if labels is not None else base.labels,
            draws=draws or base.draws,
            probe=probe,
            seed=seed,
        )
        named = [name for text in tasks for name in words(text)]
        if full and named == ["all"]:
            named.append("checkerboard")
        made = rows(sources, words(rivals), quick=settings.few)
        chosen = by_name(named, roots, seed=seed)
    if probe == "coordbench":
        _coordbench(made, chosen, seed, output)
        return

    from satclip.downstream.benchmark.files import save
    from satclip.downstream.benchmark.run import benchmark
    from satclip.downstream.benchmark.terminal import tell, watching
    from satclip.downstream.evaluate.vectors import VectorCache, cache_folder

    with expected(ValueError, OSError, ModuleNotFoundError), watching("Benchmark") as progress:
        found = benchmark(made, chosen, settings, progress, cache=VectorCache(cache_folder()))
    tell(found)
    if output is not None:
        with expected(OSError, prefix=f"{output}: "):
            save(found, output, watch=tell_file)


def _coordbench(made: "Rows", chosen: "Chosen", seed: int, output: Path | None) -> None:
    """CoordBench's table, printed and written as coordbench.csv."""
    from satclip.downstream.benchmark.coordbench_table import coordbench_lines, save_lines
    from satclip.downstream.benchmark.terminal import tell_coordbench, watching

    with expected(ValueError, OSError, ModuleNotFoundError), watching("CoordBench") as progress:
        lines = list(coordbench_lines(made.rows, chosen.tasks, seed=seed, watch=progress))
    if not lines:
        raise click.ClickException("; ".join(("nothing to score", *chosen.missing)))
    tell_coordbench(lines, (*chosen.missing, *made.missing))
    if output is not None:
        with expected(OSError, prefix=f"{output}: "):
            tell_file(save_lines(lines, output))
