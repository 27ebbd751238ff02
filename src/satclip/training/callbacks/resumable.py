"""The checkpoint that a run resumes from: written every so many steps, after every epoch, and when the run stops."""

import logging
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, Timer
from lightning.pytorch.trainer.states import TrainerFn

from satclip import lightning_internals as internals
from satclip import ranks
from satclip.data.placed_datamodule import PlacedDataModule

log = logging.getLogger(__name__)
STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # SLURM can be told to send the last one ahead of time
TIME_IS_UP = 1  # what ranks tell each other beside those: the number of SIGHUP, which is none of them


class Stopped(SystemExit):
    """The run was told to stop, and has saved what it needs to resume. Its code is 128 + the signal's number."""


class Resumable(Checkpoint):
    """Writes `last.ckpt`, from which a run resumes bit for bit.

    A signal to stop is handled at the end of the optimiser step (or of the validation batch) that it comes in: every
    rank saves at the same step, whichever was told, and rank 0 exits with 128 + signal. Other ranks exit with 0, so
    that none is taken for crashed. A second signal stops at once. Lightning's own handlers, which call collectives from
    within the handler, are replaced until the training ends.

    Nothing is saved between two optimiser steps, where gradients are being gathered that no checkpoint holds: whatever
    asks for it there waits for the step. `trainer.max_time` ends the run at the end of a step, too, without the extra
    validation that Lightning would give it. It counts from the start of this process, however often it was resumed.

    A validation or an epoch end that was interrupted runs when the run resumes.

    Being one of Lightning's `Checkpoint`s it comes after all other callbacks, so that it saves what they have noted.

    Args:
        folder: takes `last.ckpt`.
        every_n_steps: also in mid-epoch, every so many optimiser steps; null for only at the end of each epoch.
    """

    def __init__(self, folder: str, every_n_steps: int | None = None) -> None:
        if every_n_steps is not None and every_n_steps < 1:
            raise ValueError(f"callbacks.resumable.every_n_steps must be 1 at least or null, got {every_n_steps}")
        self.path = Path(folder) / "last.ckpt"
        self.every_n_steps = every_n_steps
        self.command = "the same command with ckpt_path=auto"  # that resumes, for messages
        self._signal = 0
        self._handlers: dict[int, Any] = {}
        self._process = os.getpid()
        self._timers: list[Timer] = []
        self._limits: tuple[int | None, int] = (None, -1)
        self._validation_due = self._epoch_end_due = False
        self._save_wanted = self._unsaved = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Take `trainer.max_time` over from Lightning, which would stop at any batch."""
        self._timers += internals.take_timers(trainer)

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Hide the end of the training until it starts: Lightning would not start it for a validation alone."""
        self._limits = trainer.max_epochs, trainer.max_steps
        if trainer.ckpt_path is not None:
            internals.limit(trainer, max_epochs=-1, max_steps=-1)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Listen for signals; set the loops to where the checkpoint was made, and run what was interrupted.

        Raises:
            ValueError: more epochs are done than were asked for.
        """
        max_epochs, max_steps = self._limits
        internals.limit(trainer, max_epochs=max_epochs, max_steps=max_steps)
        self._handlers = {number: signal.signal(number, self._note) for number in STOP}
        for timer in self._timers:
            timer.on_train_start(trainer, pl_module)
        data = trainer.datamodule  # type: ignore[attr-defined]
        if isinstance(data, PlacedDataModule) and data.resumed_at is not None:
            epoch, batch = data.resumed_at
            if max_epochs is not None and -1 < max_epochs < epoch:
                raise ValueError(
                    f"the checkpoint has {epoch} epochs behind it, more than epochs={max_epochs}; give as many at least"
                )
            internals.begin_at(trainer, epoch, batch)
            self._make_up(trainer, epoch, batch)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Count steps as they were counted before."""
        internals.count_steps(trainer)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time, and stop where that was asked for."""
        if not internals.between_steps(trainer):
            return
        self._unsaved = True
        self._epoch_end_due = internals.epoch_is_through(trainer)
        self._validation_due = internals.validation_follows(trainer)
        asked = self._asked_of_any()
        if asked > TIME_IS_UP:
            internals.log_step(trainer)
            self._save(trainer)
            self._stop(trainer, asked)
        ending = asked == TIME_IS_UP or trainer.global_step == trainer.max_steps
        if ending:
            internals.end_here(trainer)
        self._save_wanted = ending or self._is_multiple(trainer.global_step)
        if self._save_wanted and not self._validation_due and not self._epoch_end_due:
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
        """Stop where that was asked for, unless gradients are accumulating; the validation then runs on resume."""
        fitting = trainer.state.fn is TrainerFn.FITTING and internals.between_steps(trainer)
        if fitting and (asked := self._asked_of_any()) > TIME_IS_UP:
            self._save(trainer)
            self._stop(trainer, asked)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note that the validation is done, before `best.ckpt` is saved."""
        self._validation_due = False

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save what could not be saved before the validation."""
        self._unsaved = True
        if self._save_wanted and not self._epoch_end_due:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save, unless early stopping ends the epoch before its last batch: that is saved as mid-epoch."""
        if internals.epoch_is_through(trainer):
            self._epoch_end_due = False
            self._save(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save what is not yet saved; stop where that was asked for after the last step."""
        internals.allow_more(trainer)
        internals.limit(trainer, max_epochs=self._limits[0], max_steps=self._limits[1])
        if self._unsaved:
            self._save(trainer)
        if (asked := self._asked_of_any()) > TIME_IS_UP:
            self._stop(trainer, asked)
        self._stop_listening()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Restore the signal handlers that were set before."""
        self._stop_listening()

    def state_dict(self) -> dict[str, Any]:
        """Whether the validation after the last step, and the end of its epoch, are yet to come."""
        return {"validation_due": self._validation_due, "epoch_end_due": self._epoch_end_due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take that over."""
        self._validation_due = bool(state_dict["validation_due"])
        self._epoch_end_due = bool(state_dict.get("epoch_end_due", self._validation_due))  # one was the other once

    def _make_up(self, trainer: L.Trainer, epoch: int, batch: int) -> None:
        """Run the validation, and the end of the epoch, that were cut short, as if they came in their place."""
        if not self._validation_due and not self._epoch_end_due:
            return
        through, self._save_wanted = self._epoch_end_due, True
        at = (epoch - 1, int(trainer.num_training_batches)) if through else (epoch, batch)
        internals.close_to_end_of(trainer, *at)
        if self._validation_due:
            internals.run_validation(trainer)
        internals.count_steps(trainer)
        if through:
            internals.end_epoch(trainer)
        internals.begin_at(trainer, epoch, batch)

    def _is_multiple(self, step: int) -> bool:
        return self.every_n_steps is not None and step % self.every_n_steps == 0

    def time_is_up(self) -> bool:
        """Whether `trainer.max_time` is over in this process."""
        return any(_is_over(timer) for timer in self._timers)

    def seconds_left(self) -> float | None:
        """Seconds until `trainer.max_time` is over in this process; None without one."""
        return min((left for timer in self._timers if (left := timer.time_remaining()) is not None), default=None)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a worker of the loader: it goes when its trainer goes
        if self._signal:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._signal = number
        log.warning("%s: saving at the end of this optimiser step, then stopping", signal.Signals(number).name)

    def _asked_of_any(self) -> int:
        return int(ranks.largest(self._signal or TIME_IS_UP * self.time_is_up()))

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._save_wanted = self._unsaved = False

    def _stop(self, trainer: L.Trainer, number: int) -> None:
        if trainer.is_global_zero:
            log.warning("stopped at step %d, saved in %s; to resume: %s", trainer.global_step, self.path, self.command)
        raise Stopped(128 + number if trainer.is_global_zero else 0)

    def _stop_listening(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._handlers = {}


def unfinished(trainer: L.Trainer) -> str | None:
    """Why a training that has ended is not complete, or None where it did all that it was asked for.

    That is all epochs, or all steps, or what early stopping found enough; `trainer.max_time`, where neither epochs nor
    steps are limited.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    over = any(callback.time_is_up() for callback in callbacks if isinstance(callback, Resumable))
    over = over or any(_is_over(callback) for callback in callbacks if isinstance(callback, Timer))
    epoch, batch = internals.position(trainer)
    epochs, steps = trainer.max_epochs, trainer.max_steps
    endless = epochs in (None, -1) and steps == -1
    done = (epochs is not None and -1 < epochs <= epoch) or -1 < steps <= trainer.global_step
    if done or (over and endless) or (trainer.should_stop and not over):
        return None
    ended = "trainer.max_time ended it" if over else "it ended"
    whole = "there was an end" if endless else f"epoch {epochs}" if steps == -1 else f"step {steps}"
    return f"{ended} at step {trainer.global_step} (epoch {epoch}, batch {batch}), before {whole}"


def _is_over(timer: Timer) -> bool:
    remaining = timer.time_remaining()
    return remaining is not None and remaining <= 0
