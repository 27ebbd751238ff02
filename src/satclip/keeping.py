"""The checkpoint to go on from: written now and then, at the end of every epoch, and when the run is told to stop."""

import logging
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.trainer.states import TrainerFn

from satclip import ranks

log = logging.getLogger(__name__)
STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # SLURM can be told to send the last one ahead of time


class Stopped(SystemExit):
    """The run was told to stop, and has saved what it needs to go on. Its code is 128 + the signal's number."""


class Resumable(L.Callback):
    """Writes `last.ckpt`, from which a run goes on bit for bit.

    A signal to stop is obeyed at the end of the step (or of the validation batch) that it comes in: every rank saves
    at the same step, whichever was told, and rank 0 exits with 128 + signal. Other ranks exit with 0, so that none is
    taken for crashed. A second signal stops at once. Lightning's own handlers, which speak to the other ranks from
    within the handler, are replaced.

    A run stopped between the last step of an epoch and the end of its validation makes up for that validation when it
    goes on.

    Args:
        folder: takes `last.ckpt`.
        every_n_steps: also in mid-epoch, every so many steps; null for only at the end of each epoch.
    """

    def __init__(self, folder: str, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"callbacks.resumable.every_n_steps must be 1 at least or null, got {every_n_steps}")
        self.path = Path(folder) / "last.ckpt"
        self.every_n_steps = every_n_steps
        self._signal = 0
        self._process = os.getpid()
        self._validation_due = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen for signals; make up for a validation that was cut short."""
        for number in STOP:
            signal.signal(number, self._note)
        if self._validation_due:
            loop = trainer.fit_loop.epoch_loop.val_loop
            loop._restarting = False
            trainer.validating = True
            loop.run()
            trainer.training = True
            self._validation_due = False

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, and stop where that was asked for."""
        number = self._asked_of_any()
        last = trainer.fit_loop.epoch_loop._num_ready_batches_reached()
        self._validation_due = last and trainer.fit_loop.epoch_loop._should_check_val_epoch()
        if number:
            trainer._logger_connector.update_train_step_metrics()  # comes after this hook, too late for this step
            self._save_and_stop(trainer, number)
        elif not last and self._is_time(trainer):
            self._save(trainer)

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Stop where that was asked for; the validation is then made up for."""
        if trainer.state.fn is TrainerFn.FITTING and (number := self._asked_of_any()):
            # As at the end of the last training batch, from where Lightning goes on with the next epoch.
            batches = trainer.fit_loop.epoch_loop.batch_progress
            batches.current.completed -= 1
            batches.total.completed -= 1
            self._save_and_stop(trainer, number)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing is due any more."""
        self._validation_due = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, with the validation behind, unless `max_steps` ended the epoch early: that was saved as mid-epoch."""
        if trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            self._save(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Whether the last epoch still wants its validation."""
        return {"validation_due": self._validation_due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take that over."""
        self._validation_due = bool(state_dict["validation_due"])

    def _is_time(self, trainer: L.Trainer) -> bool:
        if trainer.global_step == trainer.max_steps:
            return True
        return self.every_n_steps is not None and trainer.global_step % self.every_n_steps == 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker of the loader: it goes when its trainer goes
        if self._signal:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._signal = number
        log.warning("%s: saving at the end of this step, then stopping", signal.Signals(number).name)

    def _asked_of_any(self) -> int:
        return int(ranks.largest(self._signal))

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)

    def _save_and_stop(self, trainer: L.Trainer, number: int) -> None:
        self._save(trainer)
        if trainer.is_global_zero:
            log.warning("stopped at step %d; `ckpt_path=auto` goes on from %s", trainer.global_step, self.path)
        raise Stopped(128 + number if trainer.is_global_zero else 0)
