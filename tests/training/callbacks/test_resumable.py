"""When `last.ckpt` is written, and how a run stops."""

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor

from satclip.training.callbacks import resumable
from satclip.training.callbacks.resumable import Resumable, Stopped, unfinished
from satclip.training.module import ContrastiveModule

Fit = Callable[..., L.Trainer]


class SignalAt(L.Callback):
    """Sends this process a signal at a batch of the training or of the validation."""

    def __init__(self, number: int, batch: int, stage: str = "train") -> None:
        self.number, self.batch, self.stage = number, batch, stage

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int) -> None:
        if self.stage == "train" and index == self.batch:
            signal.raise_signal(self.number)

    def on_validation_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: object, index: int, loader: int = 0
    ) -> None:
        if self.stage == "validation" and index == self.batch:
            signal.raise_signal(self.number)


class SavedSteps(L.Callback):
    """The optimiser steps at which something was saved."""

    def __init__(self) -> None:
        self.steps: list[int] = []

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: object) -> None:
        self.steps.append(trainer.global_step)


@pytest.fixture
def fit(
    small_module: Callable[[], ContrastiveModule], loader: Callable[..., object], trainer: Fit, tmp_path: Path
) -> Fit:
    """Train the small model on six batches with `last.ckpt` in the test's folder."""

    def train(*callbacks: L.Callback, every: int | None = None, **options: object) -> L.Trainer:
        made = trainer(*callbacks, Resumable(str(tmp_path), every), num_sanity_val_steps=0, **options)
        made.fit(small_module(), loader(6), loader(3))
        return made

    return train


def saved(folder: Path) -> dict[str, object]:
    return torch.load(folder / "last.ckpt", weights_only=True)


@pytest.mark.parametrize("number", resumable.STOP)
def test_a_signal_stops_after_the_step_it_came_in_and_its_handlers_are_given_back(
    number: int, fit: Fit, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = {each: signal.getsignal(each) for each in resumable.STOP}
    with pytest.raises(Stopped) as stop:
        fit(SignalAt(number, 2), max_epochs=1)
    assert stop.value.code == 128 + number
    assert saved(tmp_path)["global_step"] == 3
    assert {each: signal.getsignal(each) for each in resumable.STOP} == before
    assert "stopped at step 3" in caplog.text
    assert "to resume: the same command with ckpt_path=auto" in caplog.text


def test_nothing_is_saved_between_two_optimiser_steps(fit: Fit, tmp_path: Path) -> None:
    noted = SavedSteps()
    with pytest.raises(Stopped):
        fit(SignalAt(signal.SIGTERM, 1), noted, max_epochs=1, accumulate_grad_batches=3)
    assert noted.steps == [1]  # batches 0 to 2 are one step; the signal came with the second


def test_a_validation_that_a_signal_interrupts_is_noted_as_due(fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        fit(SignalAt(signal.SIGTERM, 1, "validation"), max_epochs=1)
    states = saved(tmp_path)["callbacks"]
    assert isinstance(states, dict)
    assert states["Resumable"] == {"validation_due": True, "epoch_end_due": True}


@pytest.mark.parametrize(
    ("every", "steps"), [(None, [6, 12]), (2, [2, 4, 6, 8, 10, 12]), (4, [4, 6, 8, 12]), (100, [6, 12])]
)
def test_it_is_written_every_so_many_steps_and_after_every_epoch(every: int | None, steps: list[int], fit: Fit) -> None:
    noted = SavedSteps()
    fit(noted, every=every, max_epochs=2)
    assert sorted(set(noted.steps)) == steps


def test_a_second_signal_stops_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raised: list[int] = []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    monkeypatch.setattr(signal, "signal", lambda number, handler: raised.append(int(handler)))
    callback = Resumable(str(tmp_path))
    callback._note(signal.SIGTERM, None)
    assert raised == []
    callback._note(signal.SIGTERM, None)
    assert raised == [signal.SIG_DFL, signal.SIGTERM]


def test_a_forked_worker_ignores_the_signals_of_its_trainer(tmp_path: Path) -> None:
    callback = Resumable(str(tmp_path))
    callback._process = os.getppid()
    callback._note(signal.SIGTERM, None)
    assert callback._asked_of_any() == 0


@pytest.mark.parametrize("every", [0, -1])
def test_a_number_of_steps_below_one_is_refused(every: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="every_n_steps must be 1 at least or null"):
        Resumable(str(tmp_path), every)


def test_a_training_says_whether_it_did_all_that_it_was_asked_for(fit: Fit) -> None:
    assert unfinished(fit(max_epochs=1)) is None
    assert unfinished(fit(max_steps=4)) is None
    ended = fit(max_epochs=1000, max_time=timedelta(microseconds=1))
    assert unfinished(ended) == "trainer.max_time ended it at step 1 (epoch 0, batch 1), before epoch 1000"


def test_a_time_limit_saves_the_step_that_it_ends_at(fit: Fit, tmp_path: Path) -> None:
    fit(max_epochs=1000, max_time=timedelta(microseconds=1), accumulate_grad_batches=2)
    assert saved(tmp_path)["global_step"] == 1


def test_weights_come_back_as_they_were_saved(fit: Fit, tmp_path: Path) -> None:
    ended = fit(max_epochs=1)
    weights = saved(tmp_path)["state_dict"]
    assert isinstance(weights, dict)
    for name, weight in ended.lightning_module.state_dict().items():
        assert isinstance(weights[name], Tensor)
        assert torch.equal(weights[name], weight)
