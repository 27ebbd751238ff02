"""What `lightning_internals` takes for granted of Lightning, by name: an upgrade that changes it fails here."""

from datetime import timedelta

import lightning as L
import pytest
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint, Timer
from lightning.pytorch.loops.fit_loop import RestartStage as FitStage
from lightning.pytorch.loops.training_epoch_loop import RestartStage as EpochStage

from satclip import lightning_internals as internals


@pytest.fixture
def trainer() -> L.Trainer:
    return L.Trainer(
        max_time=timedelta(minutes=1), max_epochs=7, max_steps=9, accelerator="cpu", logger=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


LOOP = ("_restarting", "_loaded_from_state_dict", "_resuming_from_checkpoint", "reset_restart_stage")


@pytest.mark.parametrize(
    "path",
    [
        *(f"fit_loop{inner}.{name}" for inner in ("", ".epoch_loop", ".epoch_loop.val_loop") for name in LOOP),
        *(f"fit_loop.{name}" for name in ("_restart_stage", "_data_fetcher", "on_advance_end", "max_epochs")),
        *(f"fit_loop.epoch_progress.current.{name}" for name in ("ready", "started", "processed", "completed")),
        *(f"fit_loop.epoch_progress.total.{name}" for name in ("ready", "started", "processed", "completed")),
        *(
            f"fit_loop.epoch_loop.{name}"
            for name in (
                "_restart_stage", "_batches_that_stepped", "_should_accumulate", "_num_ready_batches_reached",
                "_should_check_val_fx", "max_steps", "batch_progress.is_last_batch", "batch_progress.current.processed",
                "batch_progress.total.processed",
            )
        ),
        "_logger_connector.update_train_step_metrics",
        "_accelerator_connector.use_distributed_sampler",
    ],
)  # fmt: skip
def test_lightning_has_what_is_taken_for_granted(path: str, trainer: L.Trainer) -> None:
    found: object = trainer
    for name in path.split("."):
        assert hasattr(found, name), f"{type(found).__name__} has no {name}"
        found = getattr(found, name)


def test_the_stages_of_a_restart_are_called_as_before() -> None:
    assert (FitStage.RESTARTED_MID_EPOCH, EpochStage.RESTARTED_ON_LAST) == ("restarted_mid_epoch", "restarted_on_last")


def test_limits_lie_where_the_trainer_reads_them(trainer: L.Trainer) -> None:
    internals.limit(trainer, max_epochs=3, max_steps=5)
    assert (trainer.max_epochs, trainer.max_steps) == (3, 5)


def test_only_timers_that_stop_at_any_batch_are_taken(trainer: L.Trainer) -> None:
    others = [Timer(), Timer(timedelta(minutes=1), interval="epoch")]
    trainer.callbacks += others
    (taken,) = internals.take_timers(trainer)
    assert taken.time_remaining() == 60
    assert [callback for callback in trainer.callbacks if isinstance(callback, Timer)] == others


def test_checkpoint_callbacks_come_last_and_know_where_they_saved() -> None:
    assert issubclass(ModelCheckpoint, Checkpoint)
    assert {"_last_global_step_saved", "check_monitor_top_k"} <= {*dir(ModelCheckpoint()), *vars(ModelCheckpoint())}
