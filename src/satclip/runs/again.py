"""The command line that resumes a run in its folder."""

import shlex
from collections.abc import Sequence
from pathlib import Path

OF_ONE_START = ("ckpt_path", "hydra.run.dir", "hydra.job.name", "hydra.output_subdir")
RUNS_CODE = ("_target_", "pipe:")  # obeyed from a command line, never from a file


def key_of(override: str) -> str:
    """`epochs` of `+epochs=3`."""
    return override.split("=", 1)[0].lstrip("+~")


def resuming(given: Sequence[str], folder: Path, more: Sequence[str] = ()) -> list[str]:
    """The overrides that resume the run in `folder`, which was begun with those given; `more` replace or join them."""
    replaced = {*OF_ONE_START, *map(key_of, more)}
    kept = [each for each in given if key_of(each) not in replaced]
    path = str(folder.absolute()).replace("\\", "\\\\").replace('"', '\\"')
    return [*kept, *more, f'hydra.run.dir="{path}"', "ckpt_path=auto"]


def command(given: Sequence[str], folder: Path) -> str:
    """What a person types to resume the run in `folder`."""
    return shlex.join(["python", "train.py", *resuming(given, folder)])


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
