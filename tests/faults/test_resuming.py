"""What a run that resumes takes with it: time, options, its best checkpoint and its history."""

import csv
import json
import logging
import math
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Timer

from satclip.training.callbacks.resumable import STOP, Resumable

Train = Callable[..., dict[str, float]]
Logged = Callable[[Path, str], list[tuple[int, float]]]
CONSTANT = "scheduler=constant"
HOUR = '+trainer.max_time="00:01:00:00"'


def saved(folder: Path, name: str = "last.ckpt") -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / "checkpoints" / name, weights_only=True)
    return checkpoint


@pytest.fixture
def saves(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps at which `last.ckpt` was written."""
    found: list[int] = []
    save = Resumable._save

    def noted(self: Resumable, trainer: L.Trainer) -> None:
        found.append(trainer.global_step)
        save(self, trainer)

    monkeypatch.setattr(Resumable, "_save", noted)
    return found


def test_there_is_one_save_at_each_multiple_and_none_before_the_first_step(
    train: Train, tmp_path: Path, saves: list[int]
) -> None:
    train(tmp_path, "epochs=2", "trainer.accumulate_grad_batches=2", "callbacks.resumable.every_n_steps=2")
    assert saves == [2, 3, 4, 6]  # three steps an epoch, of 2, 2 and 1 batches; 3 and 6 are the ends of epochs


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lightning's timers read this clock."""
    from injections import Clock

    monkeypatch.setattr(Clock, "seconds", 0.0)
    monkeypatch.setattr(Timer, "time_elapsed", lambda timer, stage="train": Clock.seconds)
    return Clock


def test_max_time_ends_a_run_at_its_step_and_it_resumes_there_by_the_same_command(
    train: Train,
    tmp_path: Path,
    clock: Any,
    caplog: pytest.LogCaptureFixture,
    logged: Logged,
    assert_same_run: Callable[[Path, Path], None],
) -> None:
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    late = "+callbacks.hurt={_target_: injections.TimeIsUpAt, step: 7}"
    train(cut, "epochs=3", HOUR, late, "ckpt_path=auto")
    assert saved(cut)["global_step"] == 7
    assert [step for step, _ in logged(cut, "val/loss")] == [4]  # no validation more than without
    assert not (cut / "metrics.json").exists()
    assert "trainer.max_time ended it at step 7 (epoch 1, batch 2), before epoch 3" in caplog.text
    clock.seconds = 0.0  # another process
    train(cut, "epochs=3", HOUR, "ckpt_path=auto")
    train(whole, "epochs=3")
    assert_same_run(cut, whole)
    assert (cut / "metrics.json").is_file()


def test_a_run_without_end_is_complete_when_its_time_is_up(train: Train, tmp_path: Path, clock: Any) -> None:
    train(tmp_path, "epochs=-1", CONSTANT, HOUR, "+callbacks.hurt={_target_: injections.TimeIsUpAt, step: 7}")
    assert saved(tmp_path)["global_step"] == 7
    assert (tmp_path / "metrics.json").is_file()


def test_early_stopping_completes_a_run(train: Train, tmp_path: Path) -> None:
    early = "_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/loss, stopping_threshold: 100"
    train(tmp_path, "epochs=3", f"+callbacks.early={{{early}}}")
    assert saved(tmp_path)["global_step"] == 5
    assert (tmp_path / "metrics.json").is_file()


@pytest.mark.parametrize("schedule", ["cosine", "constant scheduler.warmup=0.1"])
def test_a_schedule_that_needs_an_end_is_refused_without_one_before_any_data_is_read(
    schedule: str, train: Train, tmp_path: Path
) -> None:
    name, *more = schedule.split()
    with pytest.raises(ValueError, match=f"{name}.* needs an end: give epochs or trainer.max_steps"):
        train(tmp_path / "run", f"scheduler={name}", *more, "epochs=-1", HOUR, f"dataset.root={tmp_path / 'none'}")
    assert not (tmp_path / "none").exists()


def test_a_new_learning_rate_and_weight_decay_are_taken_and_said(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture, logged: Logged
) -> None:
    """The decays of the two towers become one, so that the optimiser has fewer groups than before."""
    train(tmp_path, "epochs=1", CONSTANT, "optimizer.lr=2e-3", "optimizer.weight_decay=0.1")
    moments = saved(tmp_path)["optimizer_states"][0]
    options = ["optimizer.lr=1e-6", "optimizer.weight_decay=0.3", "optimizer.betas=[0.8,0.9]"]
    train(tmp_path, "epochs=2", CONSTANT, *options, "ckpt_path=auto")
    assert [rate for _, rate in logged(tmp_path, "train/learning_rate")] == pytest.approx([2e-3] * 5 + [1e-6] * 5)
    after = saved(tmp_path)["optimizer_states"][0]
    assert (len(moments["param_groups"]), len(after["param_groups"])) == (3, 2)
    assert {group["weight_decay"] for group in after["param_groups"]} == {0.0, 0.3}
    assert {tuple(group["betas"]) for group in after["param_groups"]} == {(0.8, 0.9)}
    assert len(after["state"]) == len(moments["state"])
    assert {float(state["step"]) for state in after["state"].values()} == {10.0}
    for said in ("optimizer.lr 0.002 -> 1e-06", "optimizer.weight_decay 0.1 -> 0.3", "epochs 1 -> 2"):
        assert said in caplog.text
    assert "learning rate at step 5: 1e-06 by the options given now, 0.002 by those of the checkpoint" in caplog.text


def test_more_epochs_give_the_schedule_of_the_longer_training(
    train: Train, tmp_path: Path, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    cosine = ["scheduler=cosine", "scheduler.warmup=0"]
    train(tmp_path, "epochs=1", *cosine)
    train(tmp_path, "epochs=2", *cosine, "ckpt_path=auto")
    rates = [rate for _, rate in logged(tmp_path, "train/learning_rate")]
    assert rates[5:] == pytest.approx([2e-3 * (1 + math.cos(math.pi * step / 10)) / 2 for step in range(5, 10)])
    assert "learning rate at step 5" in caplog.text


def test_what_can_have_no_effect_any_more_is_said(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, "epochs=1")
    train(tmp_path, "epochs=2", "temperature=0.5", "ckpt_path=auto")
    assert "without effect, since what they begin with is in the checkpoint: temperature 0.05 -> 0.5" in caplog.text


def test_fewer_epochs_than_are_done_are_refused(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "epochs=2")
    with pytest.raises(ValueError, match=r"has 2 epochs behind it, more than epochs=1; give as many at least"):
        train(tmp_path, "epochs=1", "ckpt_path=auto")


def test_other_steps_in_mid_epoch_are_refused(train: Train, tmp_path: Path) -> None:
    train(tmp_path, "trainer.max_steps=7", CONSTANT)
    with pytest.raises(ValueError, match=r"accumulate_grad_batches 1 then, 2 now"):
        train(tmp_path, "epochs=3", CONSTANT, "trainer.accumulate_grad_batches=2", "ckpt_path=auto")


@pytest.mark.parametrize("move", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_a_finished_run_that_was_moved_or_copied_keeps_its_best_when_it_is_extended(
    move: Callable[..., Any], train: Train, tmp_path: Path, logged: Logged
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, "epochs=2", CONSTANT)
    best = saved(first, "best.ckpt")
    move(first, second)
    train(second, "epochs=3", CONSTANT, "optimizer.lr=1.0", "ckpt_path=auto")  # which is far too much
    losses = dict(logged(second, "val/loss"))
    assert losses[14] > min(losses[4], losses[9])
    kept = saved(second, "best.ckpt")
    assert kept["global_step"] == best["global_step"]
    (state,) = (state for name, state in saved(second)["callbacks"].items() if name.startswith("ModelCheckpoint"))
    assert float(state["best_model_score"]) == pytest.approx(min(losses.values()))
    assert (state["best_model_path"], state["dirpath"]) == ("best.ckpt", "")


@pytest.mark.slow
def test_a_finished_run_resumes_where_it_was_moved_to_and_reports_on_its_best(train: Train, tmp_path: Path) -> None:
    target = "satclip.training.final_report.FinalReport"
    report = f"report={{_target_: {target}, retrieval_places: 20, probe_places: 200, degrees: 9.0}}"
    train(tmp_path / "first", "epochs=1")
    (tmp_path / "first").rename(tmp_path / "second")
    train(tmp_path / "second", "epochs=1", report, "ckpt_path=auto")
    assert json.loads((tmp_path / "second" / "metrics.json").read_text())


def test_a_checkpoint_of_another_run_brings_its_best_and_its_history_into_the_new_folder(
    train: Train, tmp_path: Path, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    train(first, "epochs=2", CONSTANT)
    before = (first / "csv" / "metrics.csv").read_bytes()
    train(second, "epochs=3", CONSTANT, "optimizer.lr=1.0", f"ckpt_path={first}/checkpoints/last.ckpt")
    assert f"last.ckpt is of another run: this one is written to {second}" in caplog.text
    assert saved(second, "best.ckpt")["global_step"] == saved(first, "best.ckpt")["global_step"]
    assert logged(second, "train/loss")[:10] == logged(first, "train/loss")
    assert [step for step, _ in logged(second, "val/loss")] == [4, 9, 14]
    assert (first / "csv" / "metrics.csv").read_bytes() == before


def test_a_best_checkpoint_that_is_gone_is_said_and_begins_anew(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tmp_path, "epochs=1", CONSTANT)
    (tmp_path / "checkpoints" / "best.ckpt").unlink()
    train(tmp_path, "epochs=2", CONSTANT, "optimizer.lr=1.0", "ckpt_path=auto")
    assert "best.ckpt is not beside the checkpoint" in caplog.text
    assert saved(tmp_path, "best.ckpt")["global_step"] == 10


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("{_target_: injections.NanGradientAt, step: 10}", r"weights are NaN or infinite after step 10"),
        ("{_target_: injections.NanGradientAt, step: 7}", r"the loss is nan at step 8 \(epoch 1, batch 2\)"),
        ("{_target_: injections.NanInValidation, step: 10}", r"the validation loss is nan at step 10"),
    ],
    ids=["gradient at the end of an epoch", "gradient", "validation"],
)
def test_nothing_is_saved_of_a_step_that_made_nan(fault: str, said: str, train: Train, tmp_path: Path) -> None:
    off = (
        "trainer.limit_val_batches=0"
        if "step: 10" in fault and "Gradient" in fault
        else "trainer.limit_val_batches=1.0"
    )
    with pytest.raises(FloatingPointError, match=said):
        train(tmp_path, "epochs=3", off, f"+callbacks.hurt={fault}")
    assert saved(tmp_path)["global_step"] == 5
    if "Validation" in fault:
        with (tmp_path / "nan_batch.json").open() as file:
            assert all(sample["name"] for sample in json.load(file)["samples"])


def test_rows_of_a_torn_csv_are_dropped_and_the_others_kept(train: Train, tmp_path: Path, logged: Logged) -> None:
    train(tmp_path, "epochs=1", CONSTANT)
    path = tmp_path / "csv" / "metrics.csv"
    path.write_text(path.read_text() + "7")
    train(tmp_path, "epochs=2", CONSTANT, "ckpt_path=auto")
    assert [step for step, _ in logged(tmp_path, "train/loss")] == list(range(10))
    with path.open(newline="") as file:
        assert len({len(row) for row in csv.reader(file)}) == 1


def test_a_checkpoint_between_two_steps_resumes_at_the_step_before(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture, logged: Logged
) -> None:
    """`best.ckpt` is made by a validation, which may come while gradients are being gathered."""
    options = ["epochs=1", CONSTANT, "trainer.accumulate_grad_batches=2", "+trainer.val_check_interval=3"]
    train(tmp_path, *options)
    whole = saved(tmp_path)
    (tmp_path / "checkpoints" / "last.ckpt").unlink()
    with caplog.at_level(logging.WARNING):
        train(tmp_path, *options, "ckpt_path=auto")
    assert "made between two optimiser steps: the 1 batches since the last are trained on again" in caplog.text
    assert [step for step, _ in logged(tmp_path, "train/loss")] == [0, 1, 2]
    learned = [name for name in whole["state_dict"] if "running" not in name and "tracked" not in name]
    assert all(torch.equal(saved(tmp_path)["state_dict"][name], whole["state_dict"][name]) for name in learned)


def test_signals_are_again_whose_they_were_when_the_training_has_ended(train: Train, tmp_path: Path) -> None:
    """The report comes after it, which Ctrl-C is to end."""
    before = [signal.getsignal(number) for number in STOP]
    train(tmp_path, "epochs=1")
    assert [signal.getsignal(number) for number in STOP] == before
