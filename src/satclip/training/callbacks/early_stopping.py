"""Early stopping that survives a resume."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping


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
        """Restore wait count and best score; `patience` is the option given now."""
        super().load_state_dict({**state_dict, "patience": self.patience})
