"""Where a training stands, and whether it can go on from there."""

from collections.abc import Mapping
from typing import Any


def position(trainer: Any) -> tuple[int, int]:
    """The epoch a Lightning trainer is in and the batches of it that are done; (next epoch, 0) between two epochs.

    Taken from the trainer's own progress: the sampler runs ahead of it, as workers fetch batches before their time.
    """
    epochs = trainer.fit_loop.epoch_progress.current.state_dict()
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.state_dict()
    epoch, batch = int(epochs["processed"]), int(batches["processed"])
    if epochs["ready"] == epoch:
        return epoch, 0
    if batch >= trainer.num_training_batches:  # the batches are done, the end of the epoch is not
        return epoch + 1, 0
    return epoch, batch


def at_last_batch(trainer: Any) -> bool:
    """Whether a Lightning trainer is at the last batch of its pass over the training or validation data."""
    loop = trainer.fit_loop.epoch_loop if trainer.training else trainer._evaluation_loop
    return bool(loop.batch_progress.is_last_batch)


def resumed(state: Mapping[str, Any], order: Mapping[str, int]) -> tuple[int, int]:
    """The epoch and batch that a checkpoint's state says to go on with.

    Raises:
        ValueError: it stands in the middle of an epoch, and what the order follows from has changed since.
    """
    epoch, batch, before = state["epoch"], state["batch"], state["order"]
    changed = [f"{name} {before[name]} then, {order[name]} now" for name in order if before[name] != order[name]]
    if batch and changed:
        raise ValueError(
            f"the checkpoint stands in the middle of epoch {epoch} of another order ({'; '.join(changed)}); "
            "give the data and settings it was made with, or go on from one that was made at the end of an epoch"
        )
    return epoch, batch


def enter_next_epoch(trainer: Any) -> None:
    """Have a trainer that was restored from the end of an epoch begin the next one.

    Lightning 2.6 does so by itself when only `max_epochs` is set. With `max_steps` as well it takes the finished epoch
    for one to be gone on with, finds no batch left in it, and counts it once more: the training ends an epoch early.
    """
    epochs = trainer.fit_loop.epoch_progress.current.state_dict()
    if epochs["ready"] == epochs["processed"]:
        for loop in (trainer.fit_loop, trainer.fit_loop.epoch_loop, trainer.fit_loop.epoch_loop.val_loop):
            loop._restarting = False
