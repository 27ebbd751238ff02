"""`satclip resume` and `satclip rerun`: a run in its folder, or once more in a new one."""

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from satclip.cli.commands.train import PROGRAM
from satclip.cli.failures import expected

CONFIG_FOLDER = ("--config-dir", "-cd")
CHECKOUT = Path(__file__).parents[4]


@click.command(
    short_help="Resume a run in its folder.",
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  satclip resume outputs/blue_marble/2026-11-22_10-00-00
  satclip resume outputs/blue_marble/2026-11-22_10-00-00 epochs=30 trainer=gpu""",
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("overrides", nargs=-1)
def resume(folder: Path, overrides: Sequence[str]) -> None:
    """Resume the run in FOLDER from its newest checkpoint, with the options that it was begun with.

    OVERRIDES are options of train.py that replace or join those. A folder that was moved is resumed where it lies now.
    """
    with expected(OSError, ValueError, ModuleNotFoundError):
        arguments, begun_in = command_of(folder, overrides)
    os.chdir(begun_in)
    os.execv(sys.executable, [sys.executable, *arguments])


@click.command(
    short_help="Begin a run again in a new folder.",
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Examples:
  satclip rerun outputs/blue_marble/2026-11-22_10-00-00
  satclip rerun multirun/blue_marble/2026-11-22_10-00-00/3 seed=1""",
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("overrides", nargs=-1)
def rerun(folder: Path, overrides: Sequence[str]) -> None:
    """Begin the run in FOLDER again, with the options that it was begun with, in a new folder.

    The same code, packages and machine give the same losses, bit for bit; what is not as it was is said first.
    OVERRIDES are options of train.py that replace or join those of the run.
    """
    from satclip.runs import provenance

    with expected(OSError, ValueError, ModuleNotFoundError):
        arguments, begun_in = command_of(folder, overrides, again=True)
    starts = provenance.starts(folder)
    for line in (
        provenance.differences(starts[0], folder) if starts else [f"there is no {provenance.PROVENANCE} in {folder}"]
    ):
        click.echo(f"note: {line}", err=True)
    os.chdir(begun_in)
    os.execv(sys.executable, [sys.executable, *arguments])


def command_of(folder: Path, more: Sequence[str] = (), *, again: bool = False) -> tuple[list[str], Path]:
    """The arguments for Python that resume a run, and the folder from which its relative paths count.

    With `again` they begin it anew, in a new folder.

    Raises:
        FileNotFoundError: there is no run in `folder`.
        ValueError: its options name code to run, or cannot be read.
    """
    import yaml

    from satclip.runs.again import anew, refuse_code, resuming

    source = folder / ".hydra" / "overrides.yaml"
    if not source.is_file():
        raise FileNotFoundError(f"{folder} holds no run: there is no {source}; give the folder with checkpoints/ in it")
    try:
        given = yaml.safe_load(source.read_text())
        hydra = yaml.safe_load((folder / ".hydra" / "hydra.yaml").read_text())["hydra"]
        begun_in = Path(hydra["runtime"]["cwd"])
        sources = [(each["provider"], each["path"]) for each in hydra["runtime"].get("config_sources", [])]
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"{source.parent} cannot be read ({type(error).__name__}); run train.py yourself") from error
    if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
        raise ValueError(f"{source} is no list of options; run train.py yourself")
    refuse_code(given, source)
    for provider, path in sources:
        if provider == "command-line" and not any(each.startswith(CONFIG_FOLDER) for each in more):
            raise ValueError(
                f"this run was begun with configs out of {path}, which may name code to run; if they are yours: "
                f"satclip {'rerun' if again else 'resume'} {shlex.quote(str(folder))} --config-dir {shlex.quote(path)}"
            )
    script = CHECKOUT / "train.py"
    program = [str(script)] if script.is_file() and (CHECKOUT / "conf").is_dir() else list(PROGRAM)
    words = anew(given, more) if again else resuming(given, folder, more)
    return [*program, *words], begun_in if begun_in.is_dir() else Path.cwd()
