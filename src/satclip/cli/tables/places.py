"""What a table of places is to the commands, whatever file it lies in."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Degrees = NDArray[np.float64]

PIECE_ROWS = 1 << 16  # at most, so that a piece and its embeddings stay well under 100 MB at 256 dimensions


class Lines(NamedTuple):
    """How rows come that are passed on as they were written: one column of lines, separated by commas.

    `header` is the line above them, `names` what it says.
    """

    header: bytes
    names: list[str]


class Places(Protocol):
    """A table read in pieces, as often as asked for, never as a whole.

    A coordinate that is missing or not a number comes as NaN. Degrees are longitude, latitude.
    """

    @property
    def schema(self) -> pa.Schema:
        """Columns that come with every row."""
        ...

    @property
    def rows(self) -> int:
        """How many rows the file says it holds."""
        ...

    @property
    def geometry(self) -> str | None:
        """The column of points, where the coordinates come from one."""
        ...

    @property
    def lines(self) -> Lines | None:
        """Where the rows of `schema` are lines of text."""
        ...

    @property
    def told(self) -> bool:
        """Whether the names of the columns leave no doubt which is longitude and which latitude."""
        ...

    @property
    def reference(self) -> str | None:
        """Who says in which reference system the coordinates are, and what: `--crs EPSG:3035`; None for no one."""
        ...

    def lonlat(self) -> Iterator[tuple[Degrees, pa.RecordBatch]]:
        """Coordinates alone, [n, 2] at a time, and the columns they were read from: the cheap pass."""
        ...

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows as they are (of type `schema`) and their coordinates, at most `PIECE_ROWS` at a time."""
        ...


def in_pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The rows of a batch in pieces of at most `PIECE_ROWS`, without a copy."""
    for start in range(0, batch.num_rows, PIECE_ROWS):
        yield batch.slice(start, PIECE_ROWS)
