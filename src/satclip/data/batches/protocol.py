"""What a run asks of its data, stored or streamed."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from satclip.data.batches.batch import RawBatch
from satclip.data.batches.loader import Loader, Plan
from satclip.data.split.division import Division


class PlacedPatches(Protocol):
    """All usable patches of a data set, with their places, divided into training and validation."""

    @property
    def names(self) -> Sequence[str]:
        """Of patches, by row."""

    @property
    def lonlat(self) -> Tensor:
        """Places by row, float64 [N, 2] in degrees; NaN for rows that are not used."""

    @property
    def train_rows(self) -> Tensor:
        """Ascending row numbers, int64."""

    @property
    def val_rows(self) -> Tensor:
        """Ascending row numbers, int64."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many are not used, by cause, as is known at the start."""

    @property
    def division(self) -> Division:
        """What the split and its buffer made of them."""

    def train_loader(self, plan: Plan) -> Loader:
        """Shuffled batches from `plan.start` on."""

    def val_loader(self, plan: Plan) -> Loader:
        """The validation samples."""

    def sample(self, count: int, seed: int) -> RawBatch:
        """At most `count` validation samples, raw."""
