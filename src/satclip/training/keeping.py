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
    goes on, even where that step was its very last.

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
        self._making_up = False
        self._max_steps = -1

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Hide `max_steps` until the training starts.

        Lightning 2.6 takes every run that has them for one in mid-epoch when it goes on, and one that has done them
        does not start at all, whatever validation is due.
        """
        self._max_steps, trainer.fit_loop.epoch_loop.max_steps = trainer.max_steps, -1

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen for signals; make up for a validation that was cut short."""
        trainer.fit_loop.epoch_loop.max_steps = self._max_steps
        for number in STOP:
            signal.signal(number, self._note)
        if self._validation_due:
            self._making_up = True
            make_up_validation(trainer)
            self._making_up = False
            self._save(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, and stop where that was asked for."""
        number = self._asked_of_any()
        last = trainer.fit_loop.epoch_loop._num_ready_batches_reached()
        self._validation_due = last and trainer.fit_loop.epoch_loop._should_check_val_epoch()
        if number:
            trainer._logger_connector.update_train_step_metrics()  # comes after this hook, too late for this step
            if last:
                trainer.fit_loop.epoch_loop.batch_progress.increment_completed()
                close_epoch(trainer)
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
        fitting = trainer.state.fn is TrainerFn.FITTING and not self._making_up
        if fitting and (number := self._asked_of_any()):
            close_epoch(trainer)
            self._save_and_stop(trainer, number)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing is due any more."""
        self._validation_due = False

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, with the validation behind, unless `max_steps` ended the epoch early: that was saved as mid-epoch."""
        if trainer.fit_loop.epoch_loop._num_ready_batches_reached():
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop where that was asked for after the last step, which is saved already."""
        if number := self._asked_of_any():
            self._stop(trainer, number)

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
        self._stop(trainer, number)

    def _stop(self, trainer: L.Trainer, number: int) -> None:
        if trainer.is_global_zero:
            log.warning("stopped at step %d; `ckpt_path=auto` goes on from %s", trainer.global_step, self.path)
        raise Stopped(128 + number if trainer.is_global_zero else 0)


def close_epoch(trainer: L.Trainer) -> None:
    """Count an epoch whose steps are all done as one that is over, as it is when Lightning saves at its end.

    From what it saves between the last step and the end of the validation, Lightning 2.6 goes on without beginning the
    next epoch properly: stopped there twice, a training ends too early. (After the last epoch it does no harm, and
    lets it come to the validation that is due.)
    """
    loop = trainer.fit_loop
    if _epochs_done(trainer) + 1 != trainer.max_epochs:
        loop.epoch_progress.increment_processed()
        loop.epoch_loop._batches_that_stepped += 1
    else:
        loop.epoch_loop.batch_progress.current.completed -= 1
        loop.epoch_loop.batch_progress.total.completed -= 1


def make_up_validation(trainer: L.Trainer) -> None:
    """Run the validation of the epoch before, and log it where that would have."""
    loop = trainer.fit_loop.epoch_loop
    late = _epochs_done(trainer) != trainer.max_epochs
    loop._batches_that_stepped -= late
    loop.val_loop._restarting = False
    trainer.validating = True
    loop.val_loop.run()
    trainer.training = True
    loop._batches_that_stepped += late


def _epochs_done(trainer: L.Trainer) -> int:
    return int(trainer.fit_loop.epoch_progress.current.state_dict()["processed"])
