"""What Lightning's own callbacks do not do."""

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping, RichProgressBar
from torch import Tensor

from satclip import ranks


class Progress(RichProgressBar):
    """Lightning's bar with names that fit into it."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What stands right of the bar: losses, and retrieval without its long first name."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name.replace("image_to_location/", ""): value for name, value in metrics.items() if name != "v_num"}


class KeepFigures(L.Callback):
    """Puts the losses and the retrieval, as they are logged, into every checkpoint under `figures`."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add them."""
        checkpoint["figures"] = {name: float(value) for name, value in trainer.callback_metrics.items()}


class EarlyStop(EarlyStopping):
    """Lightning's, looking with each validation; a run that it has ended stays ended when it is resumed.

    Lightning's own trains one epoch more then, and holds on to the patience of the checkpoint whatever is given now.

    Args:
        monitor: what must improve.
        mode: "min" or "max".
        patience: validations without an improvement.
        min_delta: what counts as one.
    """

    def __init__(
        self, monitor: str = "val/loss", mode: str = "min", patience: int = 20, min_delta: float = 0.0
    ) -> None:
        if patience < 1:
            raise ValueError(f"callbacks.early_stopping.patience must be 1 at least, got {patience}")
        super().__init__(monitor, min_delta, patience, mode=mode, check_on_train_epoch_end=False)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop before the first step where patience had run out before."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """How long it has waited, and for what to be beaten; the patience is that of now."""
        super().load_state_dict({**state_dict, "patience": self.patience})


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
