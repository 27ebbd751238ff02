"""Early stopping counts validations, and a run that it has ended stays ended."""

from collections.abc import Callable

import lightning as L
import pytest
import torch

from satclip.training.callbacks.early_stopping import EarlyStop

Trainer = Callable[..., L.Trainer]


class Given(L.LightningModule):
    """Logs the validation losses it is given, one an epoch."""

    def __init__(self, losses: list[float]) -> None:
        super().__init__()
        self.losses, self.weight = losses, torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.weight.sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val/loss", self.losses[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def epochs_trained(trainer: Trainer, stop: EarlyStop, losses: list[float]) -> int:
    made = trainer(stop, max_epochs=len(losses), num_sanity_val_steps=0)
    data = torch.utils.data.DataLoader(torch.zeros(2, 1))
    made.fit(Given(losses), data, data)
    return made.current_epoch


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "trained"),
    [
        ([3.0, 2.0, 2.0, 2.0, 1.0], 2, 0.0, 4),
        ([3.0, 2.0, 2.0, 2.0, 1.0], 3, 0.0, 5),
        ([3.0, 2.9, 2.8, 2.7, 2.6], 2, 0.5, 3),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 1, 0.0, 5),
    ],
)
def test_it_ends_after_so_many_validations_without_an_improvement(
    losses: list[float], patience: int, min_delta: float, trained: int, trainer: Trainer
) -> None:
    assert epochs_trained(trainer, EarlyStop(patience=patience, min_delta=min_delta), losses) == trained


def test_a_run_that_it_has_ended_trains_no_epoch_more_unless_it_is_given_more_patience(trainer: Trainer) -> None:
    first = EarlyStop(patience=2)
    epochs_trained(trainer, first, [1.0, 1.0, 1.0, 1.0])
    state = first.state_dict()
    for patience, ended in ((2, True), (1, True), (5, False)):
        again = EarlyStop(patience=patience)
        again.load_state_dict(state)
        assert again.patience == patience
        made = trainer(again)
        again.on_train_start(made, Given([]))
        assert made.should_stop is ended


@pytest.mark.parametrize("patience", [0, -3])
def test_a_patience_below_one_is_refused(patience: int) -> None:
    with pytest.raises(ValueError, match="patience must be 1 at least"):
        EarlyStop(patience=patience)
