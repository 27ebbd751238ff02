"""The face of the data: patches and places in reproducible batches, augmented on the device."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from satclip.data.batches.augment import Augmentation
from satclip.data.batches.bad_patches import BadPatches
from satclip.data.batches.batch import Batch, RawBatch
from satclip.data.batches.indexed import UsablePatches, collect, examine
from satclip.data.batches.loader import Loader, check_at_least
from satclip.data.batches.statistics import PatchStatistics
from satclip.data.batches.streamed import collect_stream
from satclip.data.batches.transfer import finished, is_narrow, to_narrow
from satclip.data.geotiff.bands import SENTINEL2_L2A, choose_bands, rgb_of
from satclip.data.placed_datamodule import PlacedDataModule
from satclip.data.sources.locate import DataLocation, Streamed
from satclip.data.sources.protocol import Source
from satclip.data.split.rule import AUTO, Split
from satclip.lightning_internals import at_last_batch


class S2DataModule(PlacedDataModule):
    """Patches and their places from shards or single files under `root`.

    A batch is {"image": float32 [B, C, S, S], "lonlat": float64 [B, 2] degrees, "id": int64 [B]} once it has been
    through `on_after_batch_transfer`; the loader itself gives the files' own numbers.

    Args:
        root: folder with *.tar shards (or images/*.tif) and index.csv.
        bands: names of the bands to train on, in order; B10 may be asked for where the files lack it, and is zero.
        file_bands: names of the bands that the files hold, in order.
        scale: raw values are divided by it; 10,000 makes reflectance of Sentinel-2's numbers.
        image_size: pixels of the crop.
        batch_size: samples of a batch over all processes together, so that a run is the same on 1 or 8 devices.
        num_workers: processes that decode, per device.
        split: "block" holds out whole cells of `split_degrees`, "random" single patches; "all" none: it trains on
            everything, and validates on a sample of that.
        val_fraction: about how much is held out.
        split_degrees: side of a cell.
        split_buffer_km: training patches whose squares of that side meet validation ones are dropped (see `Split`).
        keep_in_memory: decode everything once at the start and keep it.
        max_bad_fraction: the run stops where more of the patches than this are missing or broken.
        seed: order and augmentation follow from it; the split does not.
        shuffle_window: shards whose samples are mixed with each other.
        urls: brace patterns of shards that lie elsewhere: files, http(s), s3, gs, or `pipe:` and a command.
        hub: a data set on the Hugging Face hub, for when `root` holds nothing.
        source: a reader of one's own, see `satclip.data.sources.protocol`; index.csv is still looked for in `root`.
        cache_gib: how much of remote shards is kept in `root/cache`; 0: none, see `satclip.data.batches.streamed`.
        batching: "random"; "regional", batches of neighbours, the hardest negatives; "mixed", half and half.
        flips: see `Augmentation`.
        rotate: see `Augmentation`.
        blur_sigma: see `Augmentation`.
        jitter_degrees: see `Augmentation`.
        image_statistics: each batch has `image_statistics` of the whole patches, see `PatchStatistics`; empty for none.
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
        split_buffer_km: float | str = AUTO,
        keep_in_memory: bool = False,
        max_bad_fraction: float = 0.01,
        seed: int = 0,
        shuffle_window: int = 16,
        urls: str | Sequence[str] = (),
        hub: str | None = None,
        source: Source | None = None,
        cache_gib: float = 120.0,
        flips: bool = True,
        rotate: bool = False,
        blur_sigma: Sequence[float] | None = (0.1, 2.0),
        jitter_degrees: float = 0.005,
        image_statistics: Sequence[int] = (),
        batching: str = "random",
    ) -> None:
        super().__init__(
            batch_size=batch_size, seed=seed, window=shuffle_window, workers=num_workers, batching=batching
        )
        check_at_least(2, image_size=image_size)
        if not 0 <= max_bad_fraction < 1:
            raise ValueError(f"dataset.max_bad_fraction must be 0 or more and below 1, got {max_bad_fraction}")
        self.root = Path(root)
        self.bands, self.rgb = choose_bands(list(bands), list(file_bands)), rgb_of(list(bands))
        sigma = None if blur_sigma is None else tuple(blur_sigma)
        self.augmentation = Augmentation(self.bands.places, image_size, scale, flips, rotate, sigma, jitter_degrees)
        self.statistics = PatchStatistics(self.bands.places, scale, tuple(image_statistics))
        self.split = Split(split, val_fraction, split_degrees, split_buffer_km)
        patterns = (urls,) if isinstance(urls, str) else tuple(urls or ())
        if source is not None and patterns:
            raise ValueError("dataset.source and dataset.urls both say where patches come from; give one of them")
        self.source = source
        self.location = DataLocation(self.root, patterns, hub, cache_gib, shuffle_window)
        self.keep_in_memory, self.max_bad_fraction = keep_in_memory, max_bad_fraction

    @property
    def channels(self) -> int:
        """Channels of an image as the towers get it."""
        return len(self.bands.places)

    def prepare_data(self) -> None:
        """Find the patches once, so that what that costs is not paid by every process."""
        if self.source is None:
            self.location.find()

    def setup(self, stage: str | None = None) -> None:
        """Find the patches, join them with their places, split them; decode them if they stay in memory."""
        if self._collection is not None:
            return
        found, size = self._found(), self.augmentation.image_size
        if isinstance(found, Streamed):
            self._collection = collect_stream(found.urls, found.index, bands=self.bands, split=self.split, least=size)
        else:
            self._collection = collect(
                found, self.root, bands=self.bands, split=self.split, max_bad_fraction=self.max_bad_fraction,
                keep_in_memory=self.keep_in_memory, least=size,
            )  # fmt: skip

    def usable(self) -> UsablePatches:
        """All patches that can be used as far as is known, undivided, for those who want each of them once.

        Raises:
            ValueError: they are streamed.
        """
        found = self._found()
        if isinstance(found, Streamed):
            raise ValueError(
                "patches that are streamed come in no order and some not at all; keep them: dataset.cache_gib above 0"
            )
        limit, size = self.max_bad_fraction, self.augmentation.image_size
        return examine(found, self.root, bands=self.bands, max_bad_fraction=limit, keep_in_memory=False, least=size)

    def train_dataloader(self) -> Loader:
        """Shuffled batches; after a restart, those that would have come next."""
        plan = self._plan(self._begin())
        self._log_counts("left_out", self.collection.left_out)
        self.bad[True] = BadPatches(self.max_bad_fraction, len(self.collection.train_rows))
        return self.collection.train_loader(plan)

    def val_dataloader(self) -> Loader:
        """Every validation sample once over all processes, in a fixed order."""
        plan = self._plan()
        self.bad[False] = BadPatches(self.max_bad_fraction, len(self.collection.val_rows))
        return self.collection.val_loader(plan)

    def transfer_batch_to_device(self, batch: RawBatch, device: torch.device, dataloader_idx: int) -> RawBatch:
        """To the device; where that has no float64, places and ids wait on the CPU for `transform`."""
        if is_narrow(device):
            return to_narrow(batch, device)
        moved: RawBatch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Raw values to what the towers see, on the device: augmented in training, the centre crop elsewhere."""
        assert self.trainer is not None
        training = self.trainer.training
        bad, name = self.bad[training], "bad" if training else "bad_in_validation"
        before = bad.counts()
        bad.add(batch["bad"])
        if at_last_batch(self.trainer):
            bad.share(batch["lonlat"].device)
        if (counts := bad.counts()) != before:
            self._log_counts(name, counts)
        return self.transform(batch, epoch=self.trainer.current_epoch if training else None)

    def transform(self, batch: RawBatch, epoch: int | None = None) -> Batch:
        """A raw batch as in training of that epoch, or as in validation where `epoch` is None."""
        raw, lonlat, ids, sizes = batch["image"], batch["lonlat"], batch["id"], batch.get("size")
        statistics = self.statistics(raw, sizes) if self.statistics.grids else None
        if epoch is None:
            images = self.augmentation.validation(raw, sizes)
        else:
            images, lonlat = self.augmentation.train(raw, lonlat, ids, seed=self.seed, epoch=epoch, sizes=sizes)
        return finished(batch, images, lonlat, statistics)

    def validation_sample(self, count: int, seed: int = 0) -> dict[str, Tensor]:
        """At most `count` validation samples drawn by `seed`, as validation sees them, on the CPU: a `Batch`."""
        batch = self.transform(self.collection.sample(count, seed))
        return {"image": batch["image"], "lonlat": batch["lonlat"], "id": batch["id"]}

    def _found(self) -> Source | Streamed:
        # `prepare_data` has asked, once, whether what is kept of shards elsewhere is stale: all processes read alike.
        return self.source or self.location.find(renew=False)
