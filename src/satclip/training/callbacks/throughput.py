"""Samples per second over all ranks."""

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import Tensor

from satclip import ranks


class SamplesPerSecond(L.Callback):
    """Logs `train/samples_per_second` over all ranks, as a mean since the last logged step.

    Waiting for data counts, validation does not. Nothing is synchronised with the device: over tens of steps its queue
    cannot hide.

    Args:
        every: steps between two figures.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._samples = 0
        self._since = 0.0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock: a run that resumes in mid-epoch begins none."""
        self._restart()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._restart()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the validation out."""
        self._restart()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Mapping[str, Tensor],
        batch_idx: int,
    ) -> None:
        """Count the batch; now and then, log."""
        self._samples += len(batch["id"]) * ranks.world_size()
        if (batch_idx + 1) % self.every == 0:
            speed = self._samples / max(time.perf_counter() - self._since, 1e-9)
            pl_module.log("train/samples_per_second", speed, batch_size=1)
            self._restart()

    def _restart(self) -> None:
        self._samples = 0
        self._since = time.perf_counter()
