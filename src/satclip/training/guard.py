"""A loss that is no number ends the run, and leaves behind which samples it came from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from satclip import ranks


class FiniteLoss(L.Callback):
    """Stops where the training loss is NaN or infinite, before anything is saved.

    A GPU is asked one step late, about a step that it has finished, so that it never waits.

    Args:
        folder: takes `nan_batch.json`: epoch, batch and step, and of each sample its id, name, longitude and latitude.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "nan_batch.json"
        self._pending: tuple[Tensor, dict[str, Tensor], dict[str, int]] | None = None

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Mapping[str, Tensor],
        batch_idx: int,
    ) -> None:
        """Look at the step before; on a CPU, at this one.

        Raises:
            FloatingPointError: the loss is not finite, on every rank at once, since it is the loss of all.
        """
        loss: Tensor = outputs["loss"].detach()
        where = {"epoch": trainer.current_epoch, "batch": batch_idx, "step": trainer.global_step}
        before, self._pending = self._pending, (loss, {name: batch[name] for name in ("id", "lonlat")}, where)
        if loss.device.type == "cpu":
            before, self._pending = self._pending, None
        if before is not None:
            self._look(trainer, *before)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the last step of an epoch."""
        self._look_at_pending(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the last step of an epoch that nothing validates."""
        self._look_at_pending(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at the step that is about to be saved."""
        self._look_at_pending(trainer)

    def _look_at_pending(self, trainer: L.Trainer) -> None:
        before, self._pending = self._pending, None
        if before is not None:
            self._look(trainer, *before)

    def _look(self, trainer: L.Trainer, loss: Tensor, batch: Mapping[str, Tensor], where: Mapping[str, int]) -> None:
        if torch.isfinite(loss):
            return
        ids, lonlat = (ranks.gather(batch[name]).cpu() for name in ("id", "lonlat"))
        if trainer.is_global_zero:
            collection = getattr(getattr(trainer, "datamodule", None), "collection", None)
            samples = [
                {"id": int(row), "name": collection.source.names[row] if collection else None, "lonlat": place.tolist()}
                for row, place in zip(ids.tolist(), lonlat, strict=True)
            ]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({**where, "loss": str(float(loss)), "samples": samples}, indent=1))
        ranks.total(0)  # the other ranks wait for the file before they fail
        raise FloatingPointError(
            f"the loss is {float(loss)} at step {where['step']} (epoch {where['epoch']}, batch {where['batch']}); its "
            f"{len(ids)} samples are listed in {self.path}. Nothing of that step was saved: look at these samples, "
            "lower optimizer.lr or set trainer.gradient_clip_val, and go on with ckpt_path=auto"
        )
