"""`satclip report` and `satclip compare`: the runs of some folders side by side."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from satclip.cli.failures import expected, need


def _arguments(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--by", "score", metavar="FIGURE",
            help="Order by this figure: a name in metrics.json, with or without best/, such as val/loss, probe/mean, "
            "gain/mean, retrieval/image_to_location/top10 or probe/cells_10/100/elevation_R2; a wrong one lists all.",
        ),
        click.option(
            "-o", "--output", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER",
            help="Where to write; else into the FOLDER of a sweep, or report/ here.",
        ),
        click.argument(
            "folders", nargs=-1, required=True, metavar="FOLDER...",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
        ),
    ):  # fmt: skip
        function = option(function)
    return function


@click.command(
    short_help="One page of many runs: table, curves, importance, globes.",
    epilog="""\b
Examples:
  satclip report multirun/blue_marble/2026-11-26_10-00-00
  satclip report outputs multirun --by probe/mean -o all_runs
  satclip report multirun/blue_marble/2026-11-26_10-00-00 --by probe/cells_10/100/elevation_R2
  satclip report run/wandb/offline-run-20261126_100000-abc""",
)
@_arguments
def report(folders: tuple[Path, ...], *, output: Path | None, score: str | None) -> None:
    """Write report.html, one file that needs no network, and its pictures as PNG.

    FOLDER is a multirun's, a run's, an offline W&B run's, or one with such in it. Runs that are running, failed,
    stopped or missing are shown as such.
    """
    need("train", "yaml", "matplotlib", "hydra", "lightning")
    from satclip.runs.reports.writing import write_report

    with expected(OSError, ValueError, ModuleNotFoundError, remedy="-o FOLDER writes elsewhere"):
        for path in write_report(folders, output, score):
            click.echo(str(path))


@click.command(
    short_help="What differs between runs, and what came of it.",
    epilog="""\b
Examples:
  satclip compare multirun/blue_marble/2026-11-26_10-00-00
  satclip compare outputs/blue_marble/* --by best/probe/mean -o comparison
  satclip compare multirun/blue_marble/2026-11-26_10-00-00 --by retrieval/image_to_location/top10""",
)
@_arguments
def compare(folders: tuple[Path, ...], *, output: Path | None, score: str | None) -> None:
    """Print and write summary.md, summary.csv and summary.png: only the options that differ, figures at the best
    validation, mean and standard deviation over seeds.
    """
    need("train", "yaml", "matplotlib", "hydra", "lightning")
    from satclip.runs.reports.compare import compared, markdown
    from satclip.runs.reports.find import records
    from satclip.runs.reports.writing import target_of, write_summary

    with expected(OSError, ValueError, ModuleNotFoundError, remedy="-o FOLDER writes elsewhere"):
        found = compared(records(folders), score)
        click.echo(markdown(found))
        for path in write_summary(found, target_of(folders, output)):
            click.echo(str(path), err=True)
