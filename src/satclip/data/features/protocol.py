"""Vectors by place, wherever they come from."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor


class PlacedVectors(Protocol):
    """Vectors of places; rows are numbered as those of the patches that they come from."""

    @property
    def names(self) -> Sequence[str]:
        """By row; empty for rows without a vector."""

    @property
    def lonlat(self) -> Tensor:
        """Places by row, float64 [N, 2] in degrees, NaN for rows without a vector."""

    @property
    def held_out(self) -> Tensor:
        """Rows that were put aside for validation when the patches were stored, bool [N]."""

    @property
    def shard_sizes(self) -> Sequence[int]:
        """How many rows lie together, in order; the unit of shuffling."""

    @property
    def rows(self) -> Tensor:
        """Those that have a vector, ascending, int64 [M]."""

    @property
    def width_km(self) -> float | None:
        """Ground that each stands for; 0 for a point, None where the patches do not say."""

    @property
    def pixels(self) -> int:
        """Of a patch; 0 for a point."""

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many rows have none, by cause."""

    @property
    def views(self) -> int:
        """How many augmented views there are of each."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What they are, for configs and checkpoints."""

    def view(self, number: int | None) -> Tensor:
        """The vectors of one augmented view, or None's of the centre crop, in the order of `rows`: [M, K]."""
        ...
