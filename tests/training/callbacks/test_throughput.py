"""Samples per second: waiting for data counts, validation does not."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import lightning as L
import pytest

from satclip.training.callbacks import throughput
from satclip.training.callbacks.throughput import SamplesPerSecond
from satclip.training.module import ContrastiveModule


class Clock(L.Callback):
    """A clock that goes two seconds a training batch and a hundred a validation; stands before what it times."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.logged: list[float] = []

    def __call__(self) -> float:
        return self.now

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int) -> None:
        self.now += 2.0
        if "train/samples_per_second" in trainer.logged_metrics:
            self.logged.append(float(trainer.logged_metrics["train/samples_per_second"]))

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.now += 100.0


@pytest.mark.parametrize(("every", "world_size"), [(1, 1), (2, 1), (2, 4)])
def test_the_figure_is_of_all_ranks_and_leaves_validation_out(
    every: int,
    world_size: int,
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(throughput, "ranks", SimpleNamespace(world_size=lambda: world_size))
    speed = SamplesPerSecond(every)
    callbacks = {"max_epochs": 2, "val_check_interval": 2, "num_sanity_val_steps": 0}
    trainer(clock, speed, **callbacks).fit(small_module(), loader(4, size=8), loader(1))
    assert clock.logged
    assert set(clock.logged) == {8 * world_size / 2.0}
