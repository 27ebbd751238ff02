"""CSV logger that appends when a run resumes."""

import csv
import logging
from pathlib import Path

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from satclip.files import atomic_file

log = logging.getLogger(__name__)


class CsvLogger(CSVLogger):
    """Lightning's, with two differences: what is in the file stays, and every row is written when it is logged.

    Args:
        folder: takes metrics.csv and hparams.yaml.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(Path(folder).parent, name="", version=Path(folder).name, flush_logs_every_n_steps=1)
        self.path = Path(folder) / "metrics.csv"

    @property
    @rank_zero_experiment
    def experiment(self) -> _ExperimentWriter:
        """What writes the file."""
        if self._experiment is None:
            self._experiment = _Appending(self.log_dir)
        return self._experiment

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
        with source.open(newline="") as file:
            rows = csv.DictReader(file)
            kept = [row for row in rows if (row.get("step") or "").isdigit() and int(row["step"]) < step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path) as part, part.open("w", newline="") as target:
            writer = csv.DictWriter(target, fieldnames=rows.fieldnames or ["step"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)


class _Appending(ExperimentWriter):
    """Lightning's writer, which removes an old file, told to learn its columns instead."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.exists():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])
