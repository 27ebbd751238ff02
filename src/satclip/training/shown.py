"""What W&B shows beside curves: the commit, the data's hash, a map of the split, and the globe as it changes."""

import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L

from satclip.data.batches.protocol import PlacedPatches
from satclip.data.manifest import manifest
from satclip.data.placed_datamodule import PlacedDataModule
from satclip.model import TwoTowers
from satclip.plots import globe_picture
from satclip.training.final_report import copied
from satclip.training.loggers.wandb import TolerantWandbLogger

log = logging.getLogger(__name__)


class Shown(L.Callback):
    """Does nothing without W&B, and nothing that fails stops the run.

    Args:
        every_n_epochs: validations whose epoch is a multiple of this draw `globe`; 0: none does.
        degrees: spacing of the globe's places.
    """

    def __init__(self, every_n_epochs: int = 10, degrees: float = 2.0) -> None:
        if every_n_epochs < 0:
            raise ValueError(f"callbacks.shown.every_n_epochs must be 0 or more, got {every_n_epochs}")
        self.every_n_epochs, self.degrees = every_n_epochs, degrees
        self.facts: dict[str, Any] = {}  # about code and options, set by whoever begins the run

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what code and data the run is of, and draw where it trains and validates."""
        data = getattr(trainer, "datamodule", None)
        if not (loggers := _wandb(trainer)) or not isinstance(data, PlacedDataModule):
            return
        self.facts |= facts_of(data.collection)
        for logger in loggers:
            logger.describe(self.facts)
        self._picture(loggers, "split", lambda path: split_map(data.collection, path), trainer.global_step)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count the samples that were bad; draw the globe, now and then."""
        data = getattr(trainer, "datamodule", None)
        if isinstance(data, PlacedDataModule) and not trainer.sanity_checking:
            for logger in _wandb(trainer):
                logger.log_metrics({"data/bad_samples": bad_samples(data)}, trainer.global_step)
        epoch = trainer.current_epoch + 1
        due = self.every_n_epochs > 0 and (epoch % self.every_n_epochs == 0 or epoch == 1)
        if trainer.sanity_checking or not due or not (loggers := _wandb(trainer)):
            return
        towers = pl_module.model
        assert isinstance(towers, TwoTowers)
        encoder = copied(towers.location_encoder)
        self._picture(loggers, "globe", lambda p: globe_picture(encoder, p, degrees=self.degrees), trainer.global_step)

    def keep_model(self, trainer: L.Trainer, checkpoint: Path) -> None:
        """Have W&B keep a checkpoint, with the data and the code that it comes from."""
        if checkpoint.exists() and "data/manifest" in self.facts:
            for logger in _wandb(trainer):
                logger.keep_model(checkpoint, str(self.facts["data/manifest"]), self.facts)

    def _picture(
        self, loggers: list[TolerantWandbLogger], name: str, draw: Callable[[Path], object], step: int
    ) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{name}.png")
            try:
                draw(path)
            except (ModuleNotFoundError, OSError) as error:
                log.warning("W&B lacks the picture %s: %s", name, error)
                return
            for logger in loggers:
                with logger.tolerance():
                    logger.log_image(name, [str(path)], step=step)


def facts_of(patches: PlacedPatches) -> Mapping[str, Any]:
    """Hash and sizes of the data, as provenance.json has them."""
    found = manifest(patches)
    return {
        "data/manifest": found["manifest_sha256"],
        "data/training_patches": found["train"],
        "data/validation_patches": found["validation"],
    }


def bad_samples(data: PlacedDataModule) -> float:
    """Samples that were left out at the start or replaced since, by all causes; 0 where all is well."""
    found = (data.collection.left_out, *(bad.counts() for bad in data.bad.values()))
    return float(sum(sum(counts.values()) for counts in found))


def split_map(patches: PlacedPatches, path: Path) -> Path:
    """Where training (grey) and validation places (red) lie."""
    from matplotlib.figure import Figure

    from satclip.plots.world import frame, map_positions, save

    figure = Figure((8, 4), dpi=130, layout="constrained")
    axes = figure.subplots()
    frame(axes)
    for rows, colour, words in ((patches.train_rows, "#9aa7b1", "train"), (patches.val_rows, "#c8553d", "validate")):
        east, north = map_positions(patches.lonlat[rows].cpu().numpy()).T
        axes.scatter(east, north, s=2, c=colour, linewidths=0, zorder=5, label=f"{words}: {len(rows):,}")
    axes.legend(loc="lower left", fontsize=8, markerscale=4)
    return Path(save(figure, path))


def _wandb(trainer: L.Trainer) -> list[TolerantWandbLogger]:
    if not trainer.is_global_zero:
        return []
    return [each for each in trainer.loggers if isinstance(each, TolerantWandbLogger)]
