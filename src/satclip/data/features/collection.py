"""Vectors by place, divided into training and validation, in batches that are row numbers and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset

from satclip.data.batches.batch import RawBatch
from satclip.data.batches.loader import Loader, Plan
from satclip.data.batches.order import TrainBatches, ValidationBatches, train_batches, validation_batches
from satclip.data.features.protocol import PlacedVectors
from satclip.data.split.division import Division, divide
from satclip.data.split.rule import Split
from satclip.hashing import shuffled


class Numbers(Dataset[RawBatch]):
    """Batches of {"lonlat" float64 [B, 2], "id" int64 [B]}: what else belongs to them lies on the device already."""

    def __init__(self, lonlat: Tensor) -> None:
        self.lonlat = lonlat

    def __len__(self) -> int:
        return len(self.lonlat)

    def __getitem__(self, rows: Sequence[int]) -> RawBatch:
        ids = torch.tensor(rows, dtype=torch.int64)
        return cast(RawBatch, {"lonlat": self.lonlat[ids], "id": ids})


class NumberLoader(Loader):
    """A loader without workers, pinned memory or buffers: there are no images to carry."""

    def __init__(self, dataset: Numbers, batches: TrainBatches | ValidationBatches) -> None:
        super().__init__(dataset, batches, 0)
        self.pin_memory = False

    def __iter__(self) -> Any:
        """One batch after another."""
        return (self.dataset[rows] for rows in cast(Any, self.sampler))


@dataclass(frozen=True)
class FeatureRows:
    """What a run reads; see `satclip.data.batches.protocol.PlacedPatches`."""

    vectors: PlacedVectors
    train_rows: Tensor
    val_rows: Tensor
    left_out: Mapping[str, int]
    division: Division

    @property
    def names(self) -> Sequence[str]:
        """By row."""
        return self.vectors.names

    @property
    def lonlat(self) -> Tensor:
        """Places by row, float64 [N, 2] in degrees."""
        return self.vectors.lonlat

    def train_loader(self, plan: Plan) -> Loader:
        """Shuffled batches from `plan.start` on, in the order in which the patches themselves would come."""
        batches = train_batches(self.train_rows, self.vectors.shard_sizes, self.lonlat, plan)
        return NumberLoader(Numbers(self.lonlat), batches)

    def val_loader(self, plan: Plan) -> Loader:
        """Every validation sample once over all processes, in a fixed order."""
        return NumberLoader(Numbers(self.lonlat), validation_batches(self.val_rows, plan))

    def sample(self, count: int, seed: int) -> RawBatch:
        """At most `count` validation samples drawn by `seed`."""
        rows = self.val_rows[shuffled(len(self.val_rows), seed)[:count]].sort().values
        return Numbers(self.lonlat)[rows.tolist()]


def collect_features(vectors: PlacedVectors, split: Split) -> FeatureRows:
    """Split vectors as the patches would be.

    Raises:
        ValueError: the split is impossible.
    """
    rows = vectors.rows
    division = divide(
        split,
        vectors.lonlat[rows],
        [vectors.names[row] for row in rows.tolist()],
        vectors.held_out[rows],
        width_km=vectors.width_km,
        pixels=vectors.pixels,
    )
    left_out = {**vectors.left_out, "buffer": division.buffered}
    return FeatureRows(vectors, rows[division.train], rows[division.validation], left_out, division)


class Resident:
    """Vectors on the device that trains: of the centre crop, and of the one view that the epoch trains on."""

    def __init__(self, vectors: PlacedVectors) -> None:
        self.vectors = vectors
        self._held: dict[bool, tuple[int | None, Tensor]] = {}
        self._positions = torch.full((len(vectors.lonlat),), -1, dtype=torch.int64)
        self._positions[vectors.rows] = torch.arange(len(vectors.rows))

    def __call__(self, ids: Tensor, view: int | None, device: torch.device) -> Tensor:
        """The vectors of rows [B] on the device: float32 [B, K]."""
        held = self._on(view, device)
        if self._positions.device != device:
            self._positions = self._positions.to(device)
        return held.index_select(0, self._positions[ids.to(device)]).to(torch.float32)

    def _on(self, view: int | None, device: torch.device) -> Tensor:
        augmented = view is not None
        if augmented in self._held and self._held[augmented][0] == view and self._held[augmented][1].device == device:
            return self._held[augmented][1]
        self._held.pop(augmented, None)  # before the next comes: the device holds two at most
        array = self.vectors.view(view)
        there = array.to(device) if device.type != "cpu" else array.clone()  # out of the file, into memory
        self._held[augmented] = view, there
        return there
