"""A NaN or infinite loss, or weight, stops the run, and its samples are named."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor

from satclip.training.callbacks.finite_loss import FiniteLoss
from satclip.training.module import ContrastiveModule


class Poison(L.Callback):
    """Puts a value into one batch of the training, of the validation, or into the gradients of one step."""

    def __init__(self, value: float, where: str, number: int) -> None:
        self.value, self.where, self.number = value, where, number

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: dict[str, Tensor], batch_idx: int
    ) -> None:
        if self.where == "training" and batch_idx == self.number:
            batch["image"][0, 0] = self.value

    def on_validation_batch_start(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.where == "validation" and batch_idx == self.number:
            batch["image"][0, 0] = self.value

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if self.where == "gradient" and trainer.global_step == self.number:
            for weight in pl_module.parameters():
                if weight.grad is not None:
                    weight.grad.fill_(self.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("where", "what"), [("training", "loss"), ("validation", "validation loss")])
def test_the_batch_of_such_a_loss_is_named_by_its_samples(
    value: float,
    where: str,
    what: str,
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    tmp_path: Path,
) -> None:
    fit = trainer(Poison(value, where, 1), FiniteLoss(str(tmp_path)), max_epochs=1, num_sanity_val_steps=0)
    with pytest.raises(FloatingPointError, match=rf"the {what} is nan at step .* \(epoch 0, batch 1\); its 8 samples"):
        fit.fit(small_module(), loader(3), loader(3))
    told = json.loads((tmp_path / "nan_batch.json").read_text())
    assert (told["what"], told["epoch"], told["batch"]) == (what, 0, 1)
    assert [sample["id"] for sample in told["samples"]] == list(range(8, 16))
    assert all(len(sample["lonlat"]) == 2 for sample in told["samples"])


def test_weights_that_a_gradient_has_made_nan_are_not_saved(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    tmp_path: Path,
) -> None:
    fit = trainer(Poison(math.nan, "gradient", 1), FiniteLoss(str(tmp_path)), max_steps=2, limit_val_batches=0)
    fit.fit(small_module(), loader(2), loader(1))
    with pytest.raises(FloatingPointError, match=r"weights are NaN or infinite after step 2 \(epoch .*Nothing of it"):
        fit.save_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "last.ckpt").exists()


def test_a_training_of_finite_losses_is_left_alone(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    tmp_path: Path,
) -> None:
    fit = trainer(FiniteLoss(str(tmp_path)), max_epochs=2)
    fit.fit(small_module(), loader(2), loader(1))
    fit.save_checkpoint(tmp_path / "last.ckpt")
    assert not (tmp_path / "nan_batch.json").exists()


class OnGPU(Tensor):
    """A number that says it lies on a GPU."""

    device = property(lambda self: torch.device("cuda"))  # type: ignore[assignment]


def test_on_a_gpu_a_loss_is_read_one_step_late_and_the_last_one_before_anything_is_saved(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    tmp_path: Path,
) -> None:
    finite, fit = FiniteLoss(str(tmp_path)), trainer(max_steps=1, limit_val_batches=0)
    fit.fit(small_module(), loader(1), loader(1))
    module = fit.lightning_module
    (first, second) = loader(2)
    nan, one = (torch.tensor(value).as_subclass(OnGPU) for value in (math.nan, 1.0))
    finite.on_train_batch_end(fit, module, {"loss": nan}, first, 0)  # nothing is read yet
    with pytest.raises(FloatingPointError, match="batch 0"):
        finite.on_train_batch_end(fit, module, {"loss": one}, second, 1)
    for look in (finite.on_validation_start, finite.on_train_epoch_end, finite.on_validation_epoch_end):
        finite._pending = None
        finite.on_train_batch_end(fit, module, {"loss": nan}, second, 1)
        with pytest.raises(FloatingPointError, match="batch 1"):
            look(fit, module)
    finite._pending = None
    finite.on_train_batch_end(fit, module, {"loss": nan}, second, 1)
    with pytest.raises(FloatingPointError, match="batch 1"):
        finite.on_save_checkpoint(fit, module, {"state_dict": {}})
