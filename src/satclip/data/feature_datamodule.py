"""Features instead of images: computed once by a frozen backbone, or any teacher's vectors by place."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from satclip.data.batches.augment import EAST, NORTH, jitter
from satclip.data.batches.batch import Batch, RawBatch
from satclip.data.batches.loader import Loader
from satclip.data.batches.transfer import is_narrow, settled
from satclip.data.features.collection import FeatureRows, Resident, collect_features
from satclip.data.features.opening import facts_of, open_vectors
from satclip.data.features.store import checksum
from satclip.data.placed_datamodule import PlacedDataModule
from satclip.data.split.rule import AUTO, Split
from satclip.hashing import uniform
from satclip.vision.freezing import features_identity
from satclip.vision.vectors import VectorTower

CPU = torch.device("cpu")
OF_A_CHECKPOINT = ("name", "backbone", "weights", "views", "augmentation", "dtype", "teacher", "sha256", "dataset")


class FeatureDataModule(PlacedDataModule):
    """Places and vectors from a store that `scripts/cache_features.py` wrote, or from a table.

    A batch is {"features": float32 [B, K], "lonlat": float64 [B, 2] degrees, "id": int64 [B]}. The vectors lie on the
    device, and batches are row numbers. Split, buffer and order are those of the patches that the features come from.
    Epoch e sees view e modulo the number of views, or the centre crop where there is none; validation the centre crop.

    Args:
        root: folder of the store; or a table: .parquet, .csv, .csv.gz, .npy (see `satclip.data.features.table`).
        bands: of the images, as the store has them; none for a table.
        image_size: pixels of the crop, as the store has it; none for a table.
        batch_size, split, val_fraction, split_degrees, split_buffer_km, batching, max_bad_fraction, seed,
            shuffle_window, jitter_degrees: as for `S2DataModule`.

    Raises:
        ValueError: an option is out of its bounds.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        bands: Sequence[str] = (),
        image_size: int | None = None,
        batch_size: int = 512,
        split: str = "block",
        val_fraction: float = 0.1,
        split_degrees: float = 5.0,
        split_buffer_km: float | str = AUTO,
        batching: str = "random",
        max_bad_fraction: float = 0.01,
        seed: int = 0,
        shuffle_window: int = 16,
        jitter_degrees: float = 0.005,
    ) -> None:
        super().__init__(batch_size=batch_size, seed=seed, window=shuffle_window, workers=0, batching=batching)
        self.root, self.bands, self.image_size = Path(root), list(bands), image_size
        self.split = Split(split, val_fraction, split_degrees, split_buffer_km)
        self.max_bad_fraction, self.jitter_degrees = max_bad_fraction, jitter_degrees
        self._facts: dict[str, Any] | None = None
        self._resident: Resident | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the store or the table says of itself."""
        if self._facts is None:
            self._facts = facts_of(self.root)
        return self._facts

    def check_tower(self, tower: nn.Module) -> None:
        """Refuse an image tower whose features these are not.

        Raises:
            ValueError: it has other weights, is another network, learns, or sees other images; says what to do.
        """
        facts = self.facts
        if "teacher" in facts:
            if not isinstance(tower, VectorTower) or tower.in_dim != facts["dim"]:
                raise ValueError(
                    f"{self.root} is a table of {facts['dim']} numbers a place, which no image tower gives; "
                    "give vision=teacher"
                )
            return
        if isinstance(tower, VectorTower):
            raise ValueError(
                f"{self.root} holds features of images ({facts['backbone']}), and vision=teacher never sees images; "
                "give the `vision` that computed them"
            )
        mine = {**features_identity(tower), "bands": self.bands, "image_size": self.image_size}
        if wrong := [name for name, value in mine.items() if facts[name] != value]:
            differ = "; ".join(f"{name}: the store has {facts[name]}, the config {mine[name]}" for name in wrong)
            raise ValueError(
                f"{self.root} holds features of another image tower ({differ}). Give the `vision` options that it was "
                "computed with, or compute one for these: scripts/cache_features.py with this `vision` and store=FOLDER"
            )

    def provenance(self) -> dict[str, Any]:
        """Which backbone or teacher it was, and of which data set."""
        facts = {**self.facts, **({"sha256": checksum(self.root)} if "teacher" in self.facts else {})}
        return {"features": {name: facts[name] for name in OF_A_CHECKPOINT if name in facts}}

    @property
    def collection(self) -> FeatureRows:
        """The vectors and their division; there after `setup`."""
        found = super().collection
        assert isinstance(found, FeatureRows)
        return found

    def setup(self, stage: str | None = None) -> None:
        """Open and split."""
        if self._collection is not None:
            return
        vectors = open_vectors(self.root, self.max_bad_fraction)
        self._collection = collect_features(vectors, self.split)
        self._resident = Resident(vectors)

    def train_dataloader(self) -> Loader:
        """Row numbers in shuffled batches; after a restart, those that would have come next."""
        plan = self._plan(self._begin())
        self._log_counts("left_out", self.collection.left_out)
        return self.collection.train_loader(plan)

    def val_dataloader(self) -> Loader:
        """Every validation row once over all processes, in a fixed order."""
        return self.collection.val_loader(self._plan())

    def transfer_batch_to_device(self, batch: RawBatch, device: torch.device, dataloader_idx: int) -> RawBatch:
        """To the device; where that has no float64, places wait on the CPU for `transform`."""
        if is_narrow(device):
            return batch
        moved: RawBatch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Row numbers to what the head sees."""
        assert self.trainer is not None
        epoch = self.trainer.current_epoch if self.trainer.training else None
        return self.transform(batch, epoch, self.trainer.strategy.root_device)

    def transform(self, batch: RawBatch, epoch: int | None = None, device: torch.device = CPU) -> Batch:
        """A batch as in training of that epoch, or as in validation where `epoch` is None."""
        assert self._resident is not None, "call setup() first"
        ids, lonlat, views = batch["id"], batch["lonlat"], self.collection.vectors.views
        if epoch is not None and self.jitter_degrees:
            draws = uniform(self.seed, epoch, torch.tensor([[EAST], [NORTH]], device=ids.device), ids)
            lonlat = jitter(lonlat, 2 * draws.T - 1, self.jitter_degrees)
        view = None if epoch is None or not views else epoch % views
        found: Batch = {"features": self._resident(ids, view, device), "lonlat": lonlat, "id": ids}
        return settled(found, device)

    def validation_sample(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """At most `count` validation samples drawn by `seed`, as validation sees them, on the CPU: a `Batch`."""
        batch = self.transform(self.collection.sample(count, seed))
        return {"features": batch["features"], "lonlat": batch["lonlat"], "id": batch["id"]}
