"""What stands beside the progress bar."""

from collections.abc import Callable

import lightning as L

from satclip.training.callbacks.progress_bar import Progress
from satclip.training.module import ContrastiveModule


class Shown(L.Callback):
    """The names beside the bar at the end of the training."""

    names: set[str]

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        bar = trainer.progress_bar_callback
        assert isinstance(bar, Progress)
        self.names = set(bar.get_metrics(trainer, pl_module))


def test_the_bar_shows_losses_and_retrieval_by_short_names(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
) -> None:
    shown = Shown()
    made = trainer(Progress(), shown, max_epochs=1, num_sanity_val_steps=0, enable_progress_bar=True)
    made.fit(small_module(), loader(2, 16), loader(2, 16))
    assert shown.names == {"train/loss", "val/loss", "val/top10"}


class Described(L.Callback):
    """What stands left of the bar, by epoch."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        bar = trainer.progress_bar_callback
        assert isinstance(bar, Progress)
        assert bar.progress is not None
        self.words += [task.description for task in bar.progress.tasks if "Epoch" in task.description]


def test_its_epochs_count_from_one(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
) -> None:
    described = Described()
    made = trainer(Progress(), described, max_epochs=2, num_sanity_val_steps=0, enable_progress_bar=True)
    made.fit(small_module(), loader(2, 16), loader(2, 16))
    assert [words.strip().partition("]")[2] or words.strip() for words in described.words] == ["Epoch 1/2", "Epoch 2/2"]
