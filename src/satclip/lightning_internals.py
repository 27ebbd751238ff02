"""Every touch of Lightning 2.6's private state, in one place, so that an upgrade fails here.

Lightning's own restart takes a checkpoint for one of several "stages" by comparing counters, and goes wrong for some:
in the middle of an epoch with a validation due, after `max_steps`, or stopped between an epoch's last step and its end.
So where a run stands is said by two numbers, the epoch and the batches of it that are done, and the loops are set to
them (`begin_at`), whatever they were restored to.
"""

from typing import Any, cast

import lightning as L
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.loops import fit_loop, training_epoch_loop
from lightning.pytorch.loops.progress import _ProcessedTracker, _Progress

Position = tuple[int, int]


def position(trainer: L.Trainer) -> Position:
    """The epoch a Lightning trainer is in and the batches of it that are done; (next epoch, 0) after the last one.

    Taken from the trainer's own progress: the sampler runs ahead of it, as workers fetch batches before their time.
    """
    epochs, batch = (
        _counts(trainer.fit_loop.epoch_progress)[0],
        _counts(trainer.fit_loop.epoch_loop.batch_progress)[0].processed,
    )
    if epochs.ready == epochs.processed:
        return epochs.processed, 0
    if batch >= trainer.num_training_batches:  # the batches are done, the end of the epoch is not
        return epochs.processed + 1, 0
    return epochs.processed, batch


def begin_at(trainer: L.Trainer, epoch: int, batch: int) -> None:
    """Resume the loops at that batch of that epoch; in `on_train_start`, after Lightning has restored them."""
    fit, inner = trainer.fit_loop, trainer.fit_loop.epoch_loop
    for loop in (fit, inner, inner.val_loop):
        loop._restarting = loop._loaded_from_state_dict = False
        loop.reset_restart_stage()
    _set_progress(trainer, epoch, batch, begun=batch > 0)
    if batch:
        fit._restart_stage = fit_loop.RestartStage.RESTARTED_MID_EPOCH
        inner._restarting = True  # else it would count from 0
        inner._restart_stage = training_epoch_loop.RestartStage.RESTARTED_ON_LAST
    count_steps(trainer)


def close_to_end_of(trainer: L.Trainer, epoch: int, batch: int) -> None:
    """Set the loops to where they stand in a validation after that batch, which runs before the step is counted."""
    _set_progress(trainer, epoch, batch, begun=True)
    trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step - 1


def count_steps(trainer: L.Trainer) -> None:
    """Log under the number of optimiser steps done; a restart of Lightning's may have counted one too many."""
    trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


def run_validation(trainer: L.Trainer) -> None:
    """Run the validation loop as it runs within the training."""
    trainer.validating = True
    trainer.fit_loop.epoch_loop.val_loop.run()
    trainer.training = True


def end_epoch(trainer: L.Trainer) -> None:
    """Do what Lightning does at the end of an epoch, all its hooks included."""
    trainer.fit_loop.on_advance_end()


def between_steps(trainer: L.Trainer) -> bool:
    """Whether the batch that is done ended in an optimiser step, so that no gradient is being gathered."""
    return not trainer.fit_loop.epoch_loop._should_accumulate()


def epoch_is_through(trainer: L.Trainer) -> bool:
    """Whether the batch that is done is the last one of its epoch."""
    return bool(trainer.fit_loop.epoch_loop._num_ready_batches_reached())


def validation_follows(trainer: L.Trainer) -> bool:
    """Whether a validation comes right after the batch that is done."""
    fetcher = trainer.fit_loop._data_fetcher
    return fetcher is not None and bool(trainer.fit_loop.epoch_loop._should_check_val_fx(fetcher))


def log_step(trainer: L.Trainer) -> None:
    """Hand the metrics of the step that is done to the loggers, which Lightning does after `on_train_batch_end`."""
    trainer._logger_connector.update_train_step_metrics()


def limit(trainer: L.Trainer, *, max_epochs: int | None, max_steps: int) -> None:
    """Set where the training ends; -1 for no limit."""
    trainer.fit_loop.max_epochs, trainer.fit_loop.epoch_loop.max_steps = max_epochs, max_steps


def end_here(trainer: L.Trainer) -> None:
    """End the training after this batch and the validation that is due.

    In mid-epoch that is not the end of an epoch, as it would be to Lightning: the epoch ends when the run resumes.
    """
    limit(trainer, max_epochs=trainer.max_epochs, max_steps=trainer.global_step)
    if not epoch_is_through(trainer):
        vars(trainer.fit_loop)["on_advance_end"] = _leave


def allow_more(trainer: L.Trainer) -> None:
    """Take `end_here` back."""
    vars(trainer.fit_loop).pop("on_advance_end", None)


def _leave() -> None:
    """Take the way out of the fit loop that it has for an epoch without batches.

    Raises:
        StopIteration: always.
    """
    raise StopIteration


def take_timers(trainer: L.Trainer) -> list[Timer]:
    """Remove and return the callbacks that would end the training after some time, at whatever batch it then is.

    `trainer.max_time` makes one.
    """
    holder: Any = trainer  # Lightning sets `callbacks` without declaring it
    timers = [callback for callback in holder.callbacks if isinstance(callback, Timer)]
    timers = [timer for timer in timers if timer._duration is not None and timer._interval == "step"]
    holder.callbacks = [callback for callback in holder.callbacks if callback not in timers]
    return timers


def at_last_batch(trainer: L.Trainer) -> bool:
    """Whether a Lightning trainer is at the last batch of its pass over the training or validation data."""
    loop = trainer.fit_loop.epoch_loop if trainer.training else trainer._evaluation_loop
    return bool(loop.batch_progress.is_last_batch)


def replaces_samplers(trainer: L.Trainer) -> bool:
    """Whether Lightning would put its own distributed sampler into every loader."""
    return bool(trainer._accelerator_connector.use_distributed_sampler)


def enter_next_epoch(trainer: L.Trainer) -> None:
    """Have a trainer that was restored from the end of an epoch begin the next one; for trainers without `Resumable`.

    Lightning 2.6 does so by itself when only `max_epochs` is set. With `max_steps` as well it takes the finished epoch
    for one to be resumed, finds no batch left in it, and counts it once more: the training ends an epoch early.
    """
    epochs = _counts(trainer.fit_loop.epoch_progress)[0]
    if epochs.ready == epochs.processed:
        for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop, trainer.fit_loop.epoch_loop.val_loop):
            loop._restarting = False


def _counts(progress: _Progress) -> tuple[_ProcessedTracker, _ProcessedTracker]:
    """The counters of this start and of all starts; Lightning declares their base class."""
    return cast(_ProcessedTracker, progress.current), cast(_ProcessedTracker, progress.total)


def _set_progress(trainer: L.Trainer, epoch: int, batch: int, *, begun: bool) -> None:
    epochs, batches = trainer.fit_loop.epoch_progress, trainer.fit_loop.epoch_loop.batch_progress
    for count in _counts(epochs):
        count.ready = count.started = epoch + begun
        count.processed = count.completed = epoch
    current, total = _counts(batches)
    for count, done in ((current, batch), (total, total.processed)):
        count.ready = count.started = count.processed = count.completed = done
    batches.is_last_batch = batch == trainer.num_training_batches
