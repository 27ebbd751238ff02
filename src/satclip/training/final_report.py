"""The end of a run: what it is worth is printed, saved beside the checkpoints and handed to the loggers."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from rich.console import Console

from satclip.data.datamodule import S2DataModule
from satclip.downstream.report import Report, evaluate, figures_alone
from satclip.downstream.seen import Seen
from satclip.model import TwoTowers
from satclip.region import Region

WIDTH = 120  # columns, where the output is a file
AUTO = "auto"


@dataclass(frozen=True)
class FinalReport:
    """Retrieval on held-out places, linear probes against honest baselines, and the globe.

    Attributes:
        retrieval_places: validation places among which to search.
        probe_places: places over land that the probes are trained and tested on.
        degrees: spacing of the places of the picture.
        bounds: [west, south, east, north] in degrees, where to probe and draw; "auto" for where the training places
            lie, if that is less than a third of the Earth; None for the whole globe.

    Raises:
        ValueError: the bounds are none.
    """

    retrieval_places: int = 2000
    probe_places: int = 10_000
    degrees: float = 0.5
    bounds: Sequence[float] | str | None = AUTO

    def __post_init__(self) -> None:
        if self.bounds is None or self.bounds == AUTO:
            return
        if isinstance(self.bounds, str):
            raise ValueError(f"report.bounds takes auto, null or [west, south, east, north], got {self.bounds}")
        try:
            Region.of(self.bounds)
        except (TypeError, ValueError) as error:
            raise ValueError(f"report.bounds: {error}") from None

    def __call__(
        self, model: TwoTowers, data: S2DataModule, folder: Path, loggers: Sequence[Logger], *, described: str
    ) -> dict[str, float]:
        """Evaluate `model`; tables and picture go to `folder` and the loggers, the figures come back by name.

        Args:
            model: both towers.
            data: what they were trained on.
            folder: of the run.
            loggers: take the tables and the picture.
            described: which weights these are, in words.
        """
        report = evaluate(
            model,
            data.validation_sample(self.retrieval_places),
            folder,
            **self._common(data),
            degrees=self.degrees,
            held_out=data.collection.division.in_words(),
            seen=Seen(data.train_lonlat, data.split.degrees),
            described=described,
        )
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        for table in report.tables.values():
            console.print(table.rich())
        console.print(f"Report, checkpoints and logs: {folder}", soft_wrap=True)
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                _log_media(logger, report)
        return dict(report.metrics)

    def figures(self, model: TwoTowers, data: S2DataModule) -> dict[str, float]:
        """The same figures of other weights, with nothing printed or saved."""
        return figures_alone(model, data.validation_sample(self.retrieval_places), **self._common(data))

    def _common(self, data: S2DataModule) -> dict[str, Any]:
        return {
            "retrieval_places": self.retrieval_places,
            "probe_places": self.probe_places,
            "val_fraction": data.split.fraction,
            "split_degrees": data.split.degrees,
            "region": self._region(data),
        }

    def _region(self, data: S2DataModule) -> Region | None:
        if self.bounds is None:
            return None
        return Region.around(data.train_lonlat) if isinstance(self.bounds, str) else Region.of(self.bounds)


def _log_media(logger: WandbLogger, report: Report) -> None:
    for name, table in report.tables.items():
        logger.log_table(f"report/{name}", columns=list(table.columns), data=[list(row) for row in table.rows])
    if report.picture is not None:
        logger.log_image("report/globe", [str(report.picture)])
