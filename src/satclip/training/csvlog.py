"""A CSV of metrics that outlives its run and is gone on with by the next one in the same folder."""

import csv
from pathlib import Path

from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter


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

    def go_on_at(self, step: int) -> None:
        """Forget the rows of `step` and later: a run that goes on from there will write them again."""
        if not self.path.exists():
            return
        with self.path.open(newline="") as file:
            rows = csv.DictReader(file)
            kept = [row for row in rows if row["step"].isdigit() and int(row["step"]) < step]
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=rows.fieldnames or ["step"])
            writer.writeheader()
            writer.writerows(kept)


class _Appending(ExperimentWriter):
    """Lightning's writer, which removes an old file, told to learn its columns instead."""

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.exists():
            with path.open(newline="") as file:
                self.metrics_keys = next(csv.reader(file), [])
