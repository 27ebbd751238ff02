"""CSV logger that appends when a run resumes."""

import csv
import logging
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.core.saving import save_hparams_to_yaml
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from satclip.files import atomic_file

log = logging.getLogger(__name__)
Row = dict[str, Any]


class CsvLogger(Logger):
    """A row in metrics.csv for each call of `log_metrics`, written at once; what is in the file stays.

    Columns are in alphabetical order, `step` among them. One that comes later leaves the rows before it empty.

    Args:
        folder: takes metrics.csv and hparams.yaml.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._columns: list[str] | None = None  # of the file, once it has been looked at
        self._logged = 0

    @property
    def name(self) -> str:
        """None: a folder is one run's."""
        return ""

    @property
    def version(self) -> str:
        """The folder's name."""
        return self.path.parent.name

    @property
    def save_dir(self) -> str:
        """The folder above it."""
        return str(self.path.parent.parent)

    @property
    def log_dir(self) -> str:
        """The folder."""
        return str(self.path.parent)

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Write hparams.yaml."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        known = vars(params) if isinstance(params, Namespace) else dict(params)
        save_hparams_to_yaml(str(self.path.with_name("hparams.yaml")), known)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Tensor | float], step: int | None = None) -> None:
        """Write a row.

        Raises:
            OSError: the disk is full; what was in the file before is still there.
        """
        row: Row = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        row["step"] = self._logged if step is None else step
        self._logged += 1
        if self._columns is None:
            self._columns = _read(self.path)[0] if self.path.exists() else []
        if not row.keys() <= set(self._columns) or not self.path.exists():
            self._widen(row)
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def _widen(self, row: Row) -> None:
        """Write the file anew, with the columns that a row adds."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._columns = sorted({*(self._columns or []), *row})
        _write(self.path, self._columns, _read(self.path)[1] if self.path.exists() else [])

    def resume_at(self, step: int, run: Path | None = None) -> None:
        """Forget the rows of `step` and later: a run that resumes there will write them again.

        Args:
            step: optimiser steps behind the checkpoint.
            run: folder of the run that the checkpoint is of, where it is another one: its rows come first.
        """
        source = self.path
        if run is not None and step:
            source = run / self.path.parent.name / self.path.name
            if not source.exists():
                log.warning("no %s: the CSV of this run begins with step %d", source, step)
        if not source.exists():
            return
        columns, rows = _read(source)
        kept = [row for row in rows if (row.get("step") or "").isdigit() and int(row["step"]) < step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._columns = columns or ["step"]
        _write(self.path, self._columns, kept)


def _read(path: Path) -> tuple[list[str], list[Row]]:
    """Columns and rows of a file."""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        return list(reader.fieldnames or []), list(reader)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with atomic_file(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
