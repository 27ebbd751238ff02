"""Progress bar with metric names that fit into it."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar


class Progress(RichProgressBar):
    """Lightning's bar with names that fit into it, and epochs counted from 1 as everywhere here."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What stands right of the bar: losses, and retrieval without its long first name."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name.replace("image_to_location/", ""): value for name, value in metrics.items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        """`Epoch 3/16` of the third of sixteen, padded: a bar whose words change their length flickers."""
        epochs = self.trainer.max_epochs
        last = str(epochs) if epochs is not None and epochs > 0 else ""
        described = f"Epoch {current_epoch + 1}{f'/{last}' if last else ''}"
        return described.ljust(max(len(self.validation_description), len(f"Epoch {last}/{last}")))
