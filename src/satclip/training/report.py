"""The end of a run: what it is worth is printed, saved beside the checkpoints and handed to the loggers."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.loggers import Logger, WandbLogger
from rich.console import Console

from satclip.data.datamodule import S2DataModule
from satclip.downstream.report import Report, evaluate
from satclip.model import TwoTowers

WIDTH = 120  # columns, where the output is a file


@dataclass(frozen=True)
class FinalReport:
    """Retrieval on held-out places, linear probes against honest baselines, and the globe.

    Attributes:
        retrieval_places: validation places among which to search.
        probe_places: places over land that the probes are trained and tested on.
        degrees: spacing of the places of the picture.
    """

    retrieval_places: int = 2000
    probe_places: int = 10_000
    degrees: float = 0.5

    def __call__(
        self, model: TwoTowers, data: S2DataModule, folder: Path, loggers: Sequence[Logger], *, step: int
    ) -> dict[str, float]:
        """Evaluate `model`; tables and picture go to `folder`, the figures come back by name."""
        report = evaluate(
            model,
            data.validation_sample(self.retrieval_places),
            folder,
            retrieval_places=self.retrieval_places,
            probe_places=self.probe_places,
            val_fraction=data.split.fraction,
            split_degrees=data.split.degrees,
            degrees=self.degrees,
        )
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        for table in report.tables.values():
            console.print(table.rich())
        console.print(f"Report, checkpoints and logs: {folder}", soft_wrap=True)
        for logger in loggers:
            logger.log_metrics(dict(report.metrics), step=step)
            if isinstance(logger, WandbLogger):
                _log_media(logger, report)
            logger.save()
        return dict(report.metrics)


def _log_media(logger: WandbLogger, report: Report) -> None:
    for name, table in report.tables.items():
        logger.log_table(f"report/{name}", columns=list(table.columns), data=[list(row) for row in table.rows])
    if report.picture is not None:
        logger.log_image("report/globe", [str(report.picture)])
