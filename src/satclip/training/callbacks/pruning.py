"""Ends a run early that promises less than the trials before it."""

import logging
from collections.abc import Callable

import lightning as L

log = logging.getLogger(__name__)


class Pruning(L.Callback):
    """After each validation, tells a figure to a study, and stops where that says so; all ranks stop together.

    Args:
        monitor: name of the figure, as it is logged: val/loss, probe/elevation/r2.
        unpromising: told the figure and its epoch (counted from 1), says whether to stop.

    Attributes:
        stopped_at: the epoch at which it stopped the training, None where it did not.
    """

    def __init__(self, monitor: str, unpromising: Callable[[float, int], bool]) -> None:
        self.monitor = monitor
        self.unpromising = unpromising
        self.stopped_at: int | None = None
        self.figure: float | None = None

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell, and stop.

        Raises:
            ValueError: validation logs no such figure.
        """
        if trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise ValueError(f"hydra.sweeper.prune_by={self.monitor} is no figure of a validation; it has {known}")
        epoch, self.figure = trainer.current_epoch + 1, float(trainer.callback_metrics[self.monitor])
        stop = self.unpromising(self.figure, epoch) if trainer.is_global_zero else False
        if trainer.strategy.broadcast(stop, src=0):
            trainer.should_stop, self.stopped_at = True, epoch
            log.info(
                "pruned after epoch %d: %s %.4g is worse than in the trials before", epoch, self.monitor, self.figure
            )
