"""Keeps the logged metrics in every checkpoint."""

from typing import Any

import lightning as L


class KeepFigures(L.Callback):
    """Puts the losses and the retrieval, as they are logged, into every checkpoint under `figures`."""

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add them."""
        checkpoint["figures"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
