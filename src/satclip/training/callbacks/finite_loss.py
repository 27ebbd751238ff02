"""Stops on a NaN or infinite loss, and leaves behind which samples it came from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from satclip import ranks
from satclip.data.batches.batch import Batch
from satclip.data.placed_datamodule import PlacedDataModule

ADVICE = (
    "Nothing of it was saved: look at these samples, lower optimizer.lr or set trainer.gradient_clip_val, and resume "
    "with ckpt_path=auto"
)


class FiniteLoss(L.Callback):
    """Stops where a loss of the training or the validation, or a weight that is to be saved, is NaN or infinite.

    On a GPU a loss is read one step late, when its step has finished, so that nothing waits for the device.

    Args:
        folder: takes `nan_batch.json`: epoch, batch and step, and of each sample its id, name, longitude and latitude.
    """

    def __init__(self, folder: str) -> None:
        self.path = Path(folder) / "nan_batch.json"
        self._pending: tuple[Tensor, dict[str, Tensor], dict[str, Any]] | None = None

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Look at the step before; on a CPU, at this one.

        Raises:
            FloatingPointError: the loss is NaN or infinite, on every rank at once, since it is the loss of all.
        """
        self._note(trainer, "loss", outputs["loss"], batch, batch_idx)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Look at the validation batch before; on a CPU, at this one.

        Raises:
            FloatingPointError: the loss is NaN or infinite; a mean over the validation would hide where.
        """
        self._note(trainer, "validation loss", outputs, batch, batch_idx)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the last step before a validation."""
        self._look_at_pending(trainer)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the last batch of a validation."""
        self._look_at_pending(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the last step of an epoch that nothing validates."""
        self._look_at_pending(trainer)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at the step that is about to be saved, and at the weights that its gradients have left.

        Raises:
            FloatingPointError: the loss was finite and its gradient was not, so that weights are NaN or infinite.
        """
        self._look_at_pending(trainer)
        learned = {name: weight for name, weight in pl_module.named_parameters() if weight.requires_grad}
        if broken := [name for name, weight in learned.items() if not torch.isfinite(weight).all()]:
            raise FloatingPointError(
                f"{len(broken)} of {len(learned)} weights are NaN or infinite after step {trainer.global_step} "
                f"(epoch {trainer.current_epoch}), the first: {broken[0]}, though the loss before was finite. Nothing "
                "of it was saved: lower optimizer.lr or set trainer.gradient_clip_val, and resume with ckpt_path=auto"
            )

    def _note(self, trainer: L.Trainer, what: str, loss: Tensor, batch: Batch, number: int) -> None:
        """Keep a loss, to be read one step later, when the device has computed it."""
        where = {"what": what, "epoch": trainer.current_epoch, "batch": number, "step": trainer.global_step}
        before, self._pending = (
            self._pending,
            (loss.detach(), {"id": batch["id"], "lonlat": batch["lonlat"]}, where),
        )
        if loss.device.type == "cpu":
            before, self._pending = self._pending, None
        if before is not None:
            self._look(trainer, *before)

    def _look_at_pending(self, trainer: L.Trainer) -> None:
        before, self._pending = self._pending, None
        if before is not None:
            self._look(trainer, *before)

    def _look(self, trainer: L.Trainer, loss: Tensor, batch: Mapping[str, Tensor], where: Mapping[str, Any]) -> None:
        if torch.isfinite(loss):
            return
        ids, lonlat = (ranks.gather(batch[name]).cpu() for name in ("id", "lonlat"))
        if trainer.is_global_zero:
            data = trainer.datamodule  # type: ignore[attr-defined]
            names = data.collection.names if isinstance(data, PlacedDataModule) else None
            samples = [
                {"id": row, "name": None if names is None else names[row], "lonlat": place.tolist()}
                for row, place in zip(ids.tolist(), lonlat, strict=True)
            ]
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps({**where, "loss": str(float(loss)), "samples": samples}, indent=1))
        ranks.total(0)  # the other ranks wait for the file before they fail
        raise FloatingPointError(
            f"the {where['what']} is {float(loss)} at step {where['step']} (epoch {where['epoch']}, batch "
            f"{where['batch']}); its {len(ids)} samples are listed in {self.path}. {ADVICE}"
        )
