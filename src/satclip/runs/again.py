"""The command line that resumes a run in its folder, or begins it again in a new one."""

import re
from collections.abc import Sequence
from pathlib import Path

OF_ONE_START = ("ckpt_path", "hydra.run.dir", "hydra.job.name", "hydra.output_subdir")
WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p")
RUNS_CODE = ("_target_", "pipe:")  # allowed on the command line, never from a file


def key_of(override: str) -> str:
    """`epochs` of `+epochs=3`."""
    return override.split("=", 1)[0].lstrip("+~")


def resuming(given: Sequence[str], folder: Path, more: Sequence[str] = ()) -> list[str]:
    """The overrides that resume the run in `folder`, which was begun with those given; `more` replace or join them."""
    replaced = {*OF_ONE_START, *map(key_of, more)}
    kept = [each for each in given if key_of(each) not in replaced]
    return flags_first([*kept, *more, f"hydra.run.dir={quoted(folder)}", "ckpt_path=auto"])


def anew(given: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    """The overrides that begin a run like one that was begun with those given; `more` replace or join them."""
    replaced = {*OF_ONE_START, *map(key_of, more)}
    return flags_first([*(each for each in given if key_of(each) not in replaced), *more])


def flags_first(given: Sequence[str]) -> list[str]:
    """`--config-dir my` and the like before all options: Hydra's parser takes none behind them."""
    flags, rest, waiting = list[str](), list[str](), False
    for each in given:
        (flags if waiting or each.startswith("-") else rest).append(each)
        waiting = not waiting and each in WITH_VALUE
    return [*flags, *rest]


def quoted(folder: Path) -> str:
    """A folder as Hydra reads it, whatever is in its name; bare where that needs no quotes."""
    path = str(folder.absolute())
    if re.fullmatch(r"[\w/.+-]+", path, re.ASCII):
        return path
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def refuse_code(overrides: Sequence[str], source: Path) -> None:
    """Refuse options out of a file that would run what the file names.

    Raises:
        ValueError: names the option.
    """
    for override in overrides:
        if any(sign in override for sign in RUNS_CODE) or key_of(override).startswith("hydra"):
            raise ValueError(
                f"{source} has the option {override}, which names code to run; give it on the command line yourself "
                "if it is yours"
            )
