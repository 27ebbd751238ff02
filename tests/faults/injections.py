"""Callbacks that hurt a run at an exact moment, named in its config by `+callbacks.hurt._target_=injections.NAME`."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch


class SignalAt(L.Callback):
    """Sends this very process a signal, in a training step or in the first batch of the validation after it."""

    def __init__(self, step: int, name: str = "SIGTERM", moment: str = "step", rank: int = 0) -> None:
        self.step, self.signal, self.moment, self.rank = step, signal.Signals[name], moment, rank

    def _hit(self, trainer: L.Trainer, step: int, moment: str) -> None:
        if (step, moment, trainer.global_rank) == (self.step, self.moment, self.rank):
            os.kill(os.getpid(), self.signal)

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._hit(trainer, trainer.global_step + 1, "step")

    def on_validation_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        self._hit(trainer, trainer.global_step, "validation")


class SignalInBatch(L.Callback):
    """Sends this very process SIGTERM in a batch of an epoch, which need not end an optimiser step."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.at = (epoch, batch)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


class NoteSaves(L.Callback):
    """Adds the step of every checkpoint that is written, `best.ckpt` among them, to a file."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_save_checkpoint(self, trainer: L.Trainer, *_: Any) -> None:
        with self.path.open("a") as file:
            file.write(f"{trainer.global_step}\n")


class NanAt(L.Callback):
    """Puts one NaN into the images of a step, as a broken sensor would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, torch.Tensor], batch_idx: int
    ) -> None:
        if trainer.global_step + 1 == self.step:
            batch["image"][0, 0, 0, 0] = torch.nan


class Slow(L.Callback):
    """Takes its time over every step, so that others can come in between."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, *_: Any) -> None:
        time.sleep(self.seconds)


class FailAtStart(L.Callback):
    """Fails as soon as the training is about to begin."""

    def on_train_start(self, *_: Any) -> None:
        raise RuntimeError("hurt at the start")


class NanGradientAt(L.Callback):
    """Makes the gradient of a step NaN, as an overflow in the backward pass would, though its loss is finite."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Any) -> None:
        if trainer.global_step + 1 == self.step:
            optimizer.param_groups[0]["params"][0].grad.fill_(torch.nan)


class NanInValidation(L.Callback):
    """Puts one NaN into the second batch of the validation after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, torch.Tensor], batch_idx: int
    ) -> None:
        if (trainer.global_step, batch_idx) == (self.step, 1):
            batch["image"][0, 0, 0, 0] = torch.nan


class Clock:
    """Seconds since the training began, for a Timer whose `time_elapsed` is replaced."""

    seconds = 0.0


class TimeIsUpAt(L.Callback):
    """Sets the clock forward by a day in a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step + 1 == self.step:
            Clock.seconds = 86_400.0
