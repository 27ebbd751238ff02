"""Progress bar with metric names that fit into it."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import RichProgressBar


class Progress(RichProgressBar):
    """Lightning's bar with names that fit into it."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What stands right of the bar: losses, and retrieval without its long first name."""
        metrics = super().get_metrics(trainer, pl_module)
        return {name.replace("image_to_location/", ""): value for name, value in metrics.items() if name != "v_num"}
