"""What every data set of places has: where a training stands in it, its order, and what is logged of it."""

from collections.abc import Mapping
from typing import Any

import lightning as L
from torch import Tensor, nn

from satclip.data.batches.bad_patches import BadPatches
from satclip.data.batches.loader import Plan, check_at_least
from satclip.data.batches.position import contents, resumed
from satclip.data.batches.protocol import PlacedPatches
from satclip.data.batches.regional import check_batching
from satclip.data.split.division import check_same_split
from satclip.lightning_internals import enter_next_epoch, position, replaces_samplers


class PlacedDataModule(L.LightningDataModule):
    """Samples with places, dealt out to processes in an order that a restart continues.

    Args:
        batch_size: samples of a batch over all processes together.
        seed: what the order follows from, beside the data.
        window: shards whose samples are mixed with each other.
        workers: processes that make batches, per device.
        batching: see `satclip.data.batches.regional`.

    Raises:
        ValueError: an option is out of its bounds.
    """

    def __init__(self, *, batch_size: int, seed: int, window: int, workers: int, batching: str) -> None:
        super().__init__()
        check_at_least(0, num_workers=workers)
        check_at_least(1, batch_size=batch_size, shuffle_window=window)
        self.batch_size, self.seed, self.window, self.num_workers = batch_size, seed, window, workers
        self.regional = check_batching(batching)
        self._collection: PlacedPatches | None = None
        self._state: dict[str, Any] | None = None
        self.rgb: tuple[int, ...] = (0, 1, 2)  # channels that are red, green and blue
        self.bad: dict[bool, BadPatches] = {}  # by whether they train
        self.resumed_at: tuple[int, int] | None = None  # the epoch and batch, where a checkpoint was restored

    def check_tower(self, tower: nn.Module) -> None:
        """Refuse an image tower that these data are not for; any will do for images."""

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint says of where the data come from, beside the config, plain."""
        return {}

    def validation_sample(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """At most `count` validation samples drawn by `seed`, as validation sees them, on the CPU: a `Batch`."""
        raise NotImplementedError

    @property
    def collection(self) -> PlacedPatches:
        """The patches and their division; there after `setup`."""
        if self._collection is None:
            raise RuntimeError("call setup() first")
        return self._collection

    @property
    def train_lonlat(self) -> Tensor:
        """Places of the training samples, float64 [N, 2] in degrees."""
        return self.collection.lonlat[self.collection.train_rows]

    @property
    def val_lonlat(self) -> Tensor:
        """Places of the validation samples, float64 [N, 2] in degrees."""
        return self.collection.lonlat[self.collection.val_rows]

    def state_dict(self) -> dict[str, Any]:
        """Where the training stands, and what its order follows from."""
        assert self.trainer is not None
        epoch, batch = position(self.trainer)
        return {"epoch": epoch, "batch": batch, "order": self._order(), "split": self.collection.division.rule}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume there; `train_dataloader` checks that split and order are still the same."""
        self._state = state_dict

    def _begin(self) -> tuple[int, int]:
        """The epoch and the batch that come next."""
        if self.trainer is None:
            return 0, 0
        if self._state is None:
            return self.trainer.current_epoch, 0
        check_same_split(self._state.get("split"), self.collection.division.rule)
        enter_next_epoch(self.trainer)
        self.resumed_at = resumed(self._state, self._order())
        return self.resumed_at

    def _log_counts(self, kind: str, counts: Mapping[str, int]) -> None:
        """Give counts by cause to the trainer's loggers, as `data/<kind>/<cause>`."""
        metrics = {f"data/{kind}/{cause}": float(count) for cause, count in counts.items() if count}
        if metrics and self.trainer is not None:
            for logger in self.trainer.loggers:
                logger.log_metrics(metrics, step=self.trainer.global_step)

    def _order(self) -> dict[str, int]:
        """What the steps of an epoch follow from, apart from the shards."""
        steps = 1 if self.trainer is None else self.trainer.accumulate_grad_batches
        mixed = {"batch_size": self.batch_size, "seed": self.seed, "shuffle_window": self.window}
        mixed |= {"regional_percent": self.regional, "accumulate_grad_batches": steps}
        return {**mixed, **contents(self.collection.train_rows)}

    def _plan(self, start: tuple[int, int] = (0, 0)) -> Plan:
        """How this process gets its batches."""
        rank, world_size = 0, 1
        if self.trainer is not None:
            rank, world_size = self.trainer.global_rank, self.trainer.world_size
            if world_size > 1 and replaces_samplers(self.trainer):
                raise ValueError("the batches are dealt out here: give Trainer(use_distributed_sampler=False)")
        order = self.batch_size, self.seed, self.window, self.num_workers
        return Plan(*order, rank, world_size, start, self.regional)
