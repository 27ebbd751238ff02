"""A trial of a study, in the folder of its run: whoever runs it there finds the study and reports to it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from satclip.files import atomic_file

FILE = "trial.json"  # which trial of which study a folder is
PRUNED = "pruned.json"  # where and why it was ended early; there only then


@dataclass(frozen=True)
class Trial:
    """Where a run reports its scores to.

    Attributes:
        storage: of the study, as Optuna names it.
        study: its name.
        number: of the trial in it.
        prune_by: the figure that is reported after each validation; None for none.
        sign: 1, or -1 where the figure gets better the other way than the study's objective.
        pruner: config of the Optuna pruner that judges it; None for none.
    """

    storage: str
    study: str
    number: int
    prune_by: str | None = None
    sign: int = 1
    pruner: Mapping[str, Any] | None = None

    def write(self, folder: Path) -> None:
        """Say in `folder` that it is this trial's."""
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(folder / FILE) as part:
            part.write_text(json.dumps(asdict(self), indent=1))


def trial_of(folder: Path) -> Trial | None:
    """The trial that a folder is of, or None where it is of none."""
    try:
        return Trial(**json.loads((folder / FILE).read_text()))
    except FileNotFoundError:
        return None


def pruned(folder: Path) -> bool:
    """Whether the trial of a folder was ended early."""
    return (folder / PRUNED).exists()


def prune(folder: Path, epoch: int, monitor: str, value: float | None) -> None:
    """Say in `folder` that its trial was ended early, after which epoch and by which figure."""
    with atomic_file(folder / PRUNED) as part:
        part.write_text(json.dumps({"epoch": epoch, "monitor": monitor, "value": value}, indent=1))


def why_pruned(folder: Path) -> str:
    """`after epoch 3, by val/loss 2.34`, of a trial that was ended early."""
    try:
        found = json.loads((folder / PRUNED).read_text())
        return f"after epoch {found['epoch']}, by {found['monitor']} {found['value']:.4g}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"{PRUNED} cannot be read"
