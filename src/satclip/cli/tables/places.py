"""What a table of places is to the commands, whatever file it lies in."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Degrees = NDArray[np.float64]

PIECE_ROWS = 1 << 16  # at most, so that a piece and its embeddings stay well under 100 MB at 256 dimensions


class Places(Protocol):
    """A table read in pieces, as often as asked for, never as a whole.

    A coordinate that is missing or is no number comes as NaN. Degrees are longitude, latitude.
    """

    @property
    def schema(self) -> pa.Schema:
        """Columns that come with every row."""
        ...

    @property
    def geometry(self) -> str | None:
        """The column of points, where the coordinates come from one."""
        ...

    def lonlat(self) -> Iterator[Degrees]:
        """Coordinates alone, [n, 2] at a time: the cheap pass."""
        ...

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows as they are (of type `schema`) and their coordinates, at most `PIECE_ROWS` at a time."""
        ...


def in_pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in pieces of at most `PIECE_ROWS`, without a copy."""
    for start in range(0, batch.num_rows, PIECE_ROWS):
        yield batch.slice(start, PIECE_ROWS)
