"""What a source of patches is asked for: write one of these to train on data in another form."""

from pathlib import Path
from typing import Protocol

from torch import Tensor


class Source(Protocol):
    """Patches by row number: GeoTIFFs, wherever they come from.

    `dataset.source._target_=my_package.MySource` trains on one of your own. It is made once in every process and must
    survive pickling where `dataset.num_workers` is not 0.

    Attributes:
        names: file names, by row.
        lonlat: places that lie beside the patches, float64 [N, 2] in degrees, NaN where there are none.
        shard_sizes: how many rows lie together, in order; the unit of shuffling.
        held_out: rows that were put aside for validation when the shards were written, bool [N].
        index: the index.csv that was fetched with them, for where the data set's folder holds none.
    """

    held_out: Tensor
    names: list[str]
    lonlat: Tensor
    shard_sizes: list[int]
    index: Path | None

    def read(self, row: int) -> bytes:
        """The GeoTIFF of one row."""

    def state(self) -> str:
        """A text that changes when the patches do."""
