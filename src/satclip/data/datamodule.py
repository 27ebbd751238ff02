"""The face of the data: patches and places in reproducible batches, augmented on the device."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from satclip.data.augment import Augmentation
from satclip.data.bad import BadPatches, Complaint
from satclip.data.bands import RGB, SENTINEL2_L2A, band_positions
from satclip.data.blue_marble import Recipe, write_blue_marble
from satclip.data.hashing import shuffled
from satclip.data.order import TrainBatches, ValidationBatches
from satclip.data.patches import Batch, Form, MemoryPatches, Patches, common_form, decode_all
from satclip.data.source import Source, open_source
from satclip.data.table import Table, complain, place_patches, validation_rows

log = logging.getLogger(__name__)
PROBED = 8  # patches that are decoded at the start to learn what they look like


class Loader(DataLoader[Batch]):
    """A DataLoader over whole batches. To Lightning it is one that can resume; the datamodule keeps where."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing: see `S2DataModule.state_dict`."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to do: the sampler was made to begin at the right batch."""


class S2DataModule(L.LightningDataModule):
    """Patches and their places from shards or single files under `root`.

    A batch is {"image": float32 [B, C, S, S], "lonlat": float64 [B, 2] degrees, "id": int64 [B]} once it has been through
    `on_after_batch_transfer`; the loader itself gives raw uint8 or uint16.

    Args:
        root: folder with *.tar shards (or images/*.tif) and index.csv.
        bands: names of the bands to train on, in order; B10 may be asked for where the files lack it, and is zero.
        file_bands: names of the bands that the files hold, in order.
        scale: raw values are divided by it; 10,000 makes reflectance of Sentinel-2's numbers.
        image_size: pixels of the crop.
        batch_size: samples of a batch over all processes together, so that a run is the same on 1 or 8 devices.
        num_workers: processes that decode, per device.
        split: "block" holds out whole cells of `split_degrees`, "random" single patches.
        val_fraction: about how much is held out.
        split_degrees: side of a cell.
        keep_in_memory: decode everything once at the start and keep it.
        max_bad_fraction: the run stops where more of the patches than this are missing or broken.
        seed: order and augmentation follow from it; the split does not.
        shuffle_window: shards whose samples are mixed with each other.
        flips, rotate, blur_sigma, jitter_degrees: see `Augmentation`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        bands: Sequence[str] = SENTINEL2_L2A,
        file_bands: Sequence[str] = SENTINEL2_L2A,
        scale: float = 10_000.0,
        image_size: int = 224,
        batch_size: int = 512,
        num_workers: int = 4,
        split: str = "block",
        val_fraction: float = 0.1,
        split_degrees: float = 5.0,
        keep_in_memory: bool = False,
        max_bad_fraction: float = 0.01,
        seed: int = 0,
        shuffle_window: int = 16,
        flips: bool = True,
        rotate: bool = False,
        blur_sigma: tuple[float, float] | None = (0.1, 2.0),
        jitter_degrees: float = 0.005,
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.bands, self.file_bands = tuple(bands), tuple(file_bands)
        self.augmentation = Augmentation(
            band_positions(self.bands, self.file_bands), image_size, scale, flips, rotate, blur_sigma, jitter_degrees
        )
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.split, self.val_fraction, self.split_degrees = split, val_fraction, split_degrees
        self.keep_in_memory, self.max_bad_fraction, self.shuffle_window = keep_in_memory, max_bad_fraction, shuffle_window
        self._source: Source | None = None
        self._memory: MemoryPatches | None = None
        self._state: dict[str, Any] | None = None

    @property
    def channels(self) -> int:
        """Channels of an image as the towers get it."""
        return len(self.bands)

    @property
    def train_lonlat(self) -> Tensor:
        """Places of the training samples, float64 [N, 2] in degrees."""
        return self.table.lonlat[self.train_rows]

    @property
    def val_lonlat(self) -> Tensor:
        """Places of the validation samples, float64 [N, 2] in degrees."""
        return self.table.lonlat[self.val_rows]

    def setup(self, stage: str | None = None) -> None:
        """Find the patches, join them with their places, split them; decode them if they stay in memory."""
        if self._source is not None:
            return
        source = open_source(self.root)
        self.table: Table = place_patches(source, self.root, self.max_bad_fraction)
        rows = self.table.rows
        self.form: Form = common_form(source, rows[shuffled(len(rows), 0)[:PROBED]].tolist(), len(self.file_bands))
        if self.keep_in_memory:
            images, rows, bad = decode_all(source, self.form, rows)
            complaints = [f"{name} ({cause}: {detail})" for name, cause, detail in bad]
            complain(complaints, len(self.table.rows), self.max_bad_fraction, f"patches in {self.root} that cannot be used")
            self.table = Table(self.table.lonlat, rows)
            self._memory = MemoryPatches(images, rows, self.table.lonlat)
        held_out = validation_rows(
            self.table, source.names, split=self.split, fraction=self.val_fraction, degrees=self.split_degrees
        )
        self.train_rows, self.val_rows = rows[~held_out], rows[held_out]
        self._source = source
        log.info("%s: %d patches to train on, %d to validate", self.root, len(self.train_rows), len(self.val_rows))

    def train_dataloader(self) -> Loader:
        """Shuffled batches; after a restart, those that would have come next."""
        assert self._source is not None
        rank, world_size = self._place()
        batches = TrainBatches(
            self.train_rows,
            sizes_of(self.train_rows, self._source.shard_sizes),
            batch_size=self.batch_size,
            seed=self.seed,
            window=self.shuffle_window,
            rank=rank,
            world_size=world_size,
            start=self._resume(),
        )
        self._bad_train = BadPatches(self.max_bad_fraction, len(batches) * self.batch_size // world_size)
        log.info("an epoch is %d batches of %d samples over all processes", len(batches), self.batch_size)
        log.info("%d samples, other ones each epoch, are left over", len(self.train_rows) % self.batch_size)
        return self._loader(self.train_rows, batches, replace=True)

    def val_dataloader(self) -> Loader:
        """Every validation sample once over all processes, in a fixed order."""
        rank, world_size = self._place()
        batches = ValidationBatches(self.val_rows, batch_size=self.batch_size, rank=rank, world_size=world_size)
        self._bad_validation = BadPatches(self.max_bad_fraction, max(1, len(self.val_rows) // world_size))
        return self._loader(self.val_rows, batches, replace=False)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Raw values to what the towers see, on the device: augmented in training, the centre crop elsewhere."""
        assert self.trainer is not None
        training = self.trainer.training
        complaints = batch.pop("bad")
        if complaints:
            self._complain(self._bad_train if training else self._bad_validation, complaints)
        return self.transform(batch, epoch=self.trainer.current_epoch if training else None)

    def transform(self, batch: Batch, epoch: int | None = None) -> Batch:
        """A raw batch as in training of that epoch, or as in validation where `epoch` is None."""
        raw, lonlat, ids = batch["image"], batch["lonlat"], batch["id"]
        if epoch is None:
            return {**batch, "image": self.augmentation.validation(raw)}
        images, lonlat = self.augmentation.train(raw, lonlat, ids, seed=self.seed, epoch=epoch)
        return {**batch, "image": images, "lonlat": lonlat}

    def validation_sample(self, count: int, seed: int = 0) -> Batch:
        """At most `count` validation samples drawn by `seed`, as validation sees them, on the CPU."""
        rows = self.val_rows[shuffled(len(self.val_rows), seed)[:count]].sort().values
        batch = self._dataset(self.val_rows, replace=False)[rows.tolist()]
        batch.pop("bad")
        return self.transform(batch)

    def state_dict(self) -> dict[str, Any]:
        """Where the training stands: the epoch and the batches of it that are done, and what its order follows from."""
        assert self.trainer is not None
        loop = self.trainer.fit_loop
        epoch, done = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current.processed
        position = (epoch.processed, done)
        if epoch.ready == epoch.processed:  # between two epochs
            position = (epoch.processed, 0)
        elif done >= self.trainer.num_training_batches:  # the batches are done, the end of the epoch is not
            position = (epoch.processed + 1, 0)
        return {"epoch": position[0], "batch": position[1], "order": self._order()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there; `train_dataloader` checks that the order is still the same."""
        self._state = state_dict

    def _order(self) -> dict[str, int]:
        """What the order of an epoch follows from, apart from the data itself."""
        return {
            "batch_size": self.batch_size,
            "seed": self.seed,
            "shuffle_window": self.shuffle_window,
            "samples": len(self.train_rows),
        }

    def _resume(self) -> tuple[int, int]:
        """Epoch and batch to begin with.

        Raises:
            ValueError: to go on in the middle of an epoch whose order has changed.
        """
        if self._state is None:
            return self.trainer.current_epoch if self.trainer else 0, 0
        epoch, batch, before = self._state["epoch"], self._state["batch"], self._state["order"]
        changed = [f"{name} {before[name]} then, {value} now" for name, value in self._order().items() if before[name] != value]
        if batch and changed:
            raise ValueError(
                f"the checkpoint stands in the middle of epoch {epoch} of another order ({'; '.join(changed)}); "
                "give the data and settings it was made with, or go on from one that was made at the end of an epoch"
            )
        return epoch, batch

    def _place(self) -> tuple[int, int]:
        """Rank and number of processes."""
        if self.trainer is None:
            return 0, 1
        connector = self.trainer._accelerator_connector
        if self.trainer.world_size > 1 and connector.use_distributed_sampler:
            raise ValueError("the batches are dealt out here: give Trainer(use_distributed_sampler=False)")
        return self.trainer.global_rank, self.trainer.world_size

    def _dataset(self, rows: Tensor, *, replace: bool) -> Dataset[Batch]:
        assert self._source is not None
        if self._memory is not None:
            return self._memory
        return Patches(self._source, self.table.lonlat, self.form, rows, replace=replace)

    def _loader(self, rows: Tensor, batches: Sampler[list[int]], *, replace: bool) -> Loader:
        workers = 0 if self._memory is not None else self.num_workers
        return Loader(
            self._dataset(rows, replace=replace),
            sampler=batches,
            batch_size=None,
            collate_fn=as_it_is,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def _complain(self, bad: BadPatches, complaints: list[Complaint]) -> None:
        """Count bad patches, in the log and in every logger."""
        bad.add(complaints)
        assert self.trainer is not None
        counts = {f"data/bad/{cause}": float(count) for cause, count in bad.counts().items()}
        for logger in self.trainer.loggers:
            logger.log_metrics(counts, step=self.trainer.global_step)


class BlueMarbleDataModule(S2DataModule):
    """Patches of NASA's Blue Marble, written under `root` when they are first asked for.

    Args:
        root: the data set's own folder.
        places: patches to cut.
        patch_size: pixels of a patch.
        kilometres_per_pixel: ground that a pixel covers.
        options: as for `S2DataModule`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        places: int = 40_000,
        patch_size: int = 48,
        kilometres_per_pixel: float = 7.4,
        **options: Any,
    ) -> None:
        super().__init__(root, **{"bands": RGB, "file_bands": RGB, "scale": 255.0, "image_size": 32, **options})
        self.recipe = Recipe(places, patch_size, kilometres_per_pixel)

    def prepare_data(self) -> None:
        """Write the data set where it is not there yet, or was written to another recipe."""
        write_blue_marble(self.root, self.recipe)


def sizes_of(rows: Tensor, shard_sizes: Sequence[int]) -> list[int]:
    """How many of `rows` (ascending) lie in each shard."""
    bounds = torch.tensor([0, *shard_sizes]).cumsum(0)
    return torch.searchsorted(rows, bounds).diff().tolist()


def as_it_is(batch: Batch) -> Batch:
    """The dataset makes whole batches: nothing to collate."""
    return batch
