"""Tables of embeddings, written piece by piece."""

from pathlib import Path
from typing import Any, Protocol, Self

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from satclip.cli.failures import expected
from satclip.cli.npy import NpyFile

COLUMN = "embedding"


class Writer(Protocol):
    """Takes rows and their embeddings [n, D] in order; whole when the block ends."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append."""
        ...


def open_writer(target: Path, part: Path, schema: pa.Schema, *, rows: int, width: int, dtype: DTypeLike) -> Writer:
    """A writer of the kind that `target` is named for, into `part`.

    Args:
        schema: the columns that come with each row.
        rows: how many there will be in all.
        width: D.
        dtype: of the numbers written.

    Raises:
        click.ClickException: the columns cannot be written to such a file, or take the name of the embedding.
    """
    if target.name.endswith(".npy"):
        return NpyWriter(part, rows, width, dtype)
    if target.name.endswith(".parquet"):
        return ParquetWriter(part, schema, width, dtype)
    return CsvWriter(part, schema, width, dtype, compression="gzip" if target.suffix == ".gz" else None)


class ParquetWriter:
    """All columns of the input, and `embedding`: one fixed-size list per row.

    One column of vectors, not D of numbers: pyarrow, pandas, polars and duckdb read it as an array without stitching,
    the file has one column chunk instead of D per row group, and no name can clash but one.
    """

    def __init__(self, part: Path, schema: pa.Schema, width: int, dtype: DTypeLike) -> None:
        _check_free(schema, COLUMN)
        self._dtype, self._width = np.dtype(dtype), width
        vector = pa.list_(pa.from_numpy_dtype(self._dtype), width)
        self._schema = schema.append(pa.field(COLUMN, vector))
        # Low bits of a network are noise: split into byte streams floats shrink a little, in a dictionary never.
        self._file = pq.ParquetWriter(
            part,
            self._schema,
            compression="zstd",
            use_dictionary=list(schema.names),
            column_encoding={f"{COLUMN}.list.element": "BYTE_STREAM_SPLIT"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append one row group."""
        numbers = pa.array(np.ascontiguousarray(embeddings, self._dtype).ravel())
        vectors = pa.FixedSizeListArray.from_arrays(numbers, self._width)
        self._file.write_batch(pa.record_batch([*rows.columns, vectors], schema=self._schema))


class CsvWriter:
    """All columns of the input, and e0, e1, ... with one number each."""

    def __init__(
        self, part: Path, schema: pa.Schema, width: int, dtype: DTypeLike, *, compression: str | None = None
    ) -> None:
        numbers = [pa.field(f"e{i}", pa.from_numpy_dtype(np.dtype(dtype))) for i in range(width)]
        for field in numbers:
            _check_free(schema, field.name)
        self._dtype, self._schema = dtype, pa.schema([*schema, *numbers])
        self._stream = pa.output_stream(str(part), compression=compression)
        with self._expected():
            self._file = pacsv.CSVWriter(self._stream, self._schema)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._stream.close()

    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append."""
        numbers = [pa.array(column) for column in np.ascontiguousarray(embeddings.T, self._dtype)]
        with self._expected():
            self._file.write_batch(pa.record_batch([*rows.columns, *numbers], schema=self._schema))

    def _expected(self) -> Any:
        kinds = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
        return expected(*kinds, prefix="CSV cannot hold these columns, write .parquet instead: ")


class NpyWriter:
    """The embeddings alone, [rows, D] in the order of the rows."""

    def __init__(self, part: Path, rows: int, width: int, dtype: DTypeLike) -> None:
        self._file = NpyFile(part, (rows, width), dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append; the columns of `rows` are left out."""
        self._file.append(embeddings)


def _check_free(schema: pa.Schema, name: str) -> None:
    if name in schema.names:
        raise click.ClickException(f"the input has a column {name}, the name of a column to write: rename it")
