"""Tables of embeddings, written piece by piece."""

from collections.abc import Sequence
from contextlib import ExitStack
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
from satclip.cli.tables.places import Lines, Places

COLUMN = "embedding"


class Writer(Protocol):
    """Takes rows and their embeddings [n, D] in order; whole when the block ends."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append."""
        ...


def open_writer(target: Path, part: Path, places: Places, *, rows: int, width: int, dtype: DTypeLike) -> Writer:
    """A writer of the kind that `target` is named for, into `part`.

    Args:
        places: the table, for the columns that come with each row.
        rows: how many there will be in all.
        width: D.
        dtype: of the numbers written.

    Raises:
        click.ClickException: the columns cannot be written to such a file, or take the name of the embedding.
    """
    if target.name.endswith(".npy"):
        return NpyWriter(part, rows, width, dtype)
    if target.name.endswith(".parquet"):
        return ParquetWriter(part, places.schema, width, dtype)
    compression = "gzip" if target.suffix == ".gz" else None
    if places.lines is not None:
        return LineWriter(part, places.lines, width, dtype, compression=compression)
    return CsvWriter(part, places.schema, width, dtype, compression=compression)


class ParquetWriter:
    """All columns of the input, and `embedding`: one fixed-size list per row.

    One column of vectors, not D of numbers: pyarrow, pandas, polars and duckdb read it as an array without stitching,
    the file has one column chunk instead of D per row group, and no name can clash but one.
    """

    def __init__(self, part: Path, schema: pa.Schema, width: int, dtype: DTypeLike) -> None:
        _check_free(schema.names, COLUMN)
        self._dtype, self._width = np.dtype(dtype), width
        vector = pa.list_(pa.from_numpy_dtype(self._dtype), width)
        self._schema = schema.append(pa.field(COLUMN, vector))
        # Low bits of a network are noise: split into byte streams floats shrink a little, in a dictionary never.
        self._stream = _open(part, None)
        self._file = pq.ParquetWriter(
            self._stream,
            self._schema,
            compression="zstd",
            use_dictionary=list(schema.names),
            column_encoding={f"{COLUMN}.list.element": "BYTE_STREAM_SPLIT"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self._stream.close()

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
        numbers = _number_fields(schema.names, width, dtype)
        # Arrow 26 writes no views; as plain text they are the same.
        plain = [
            field.with_type(pa.large_string()) if pa.types.is_string_view(field.type) else field for field in schema
        ]
        self._dtype, self._schema = dtype, pa.schema([*plain, *numbers])
        with ExitStack() as stack:
            stream = stack.enter_context(_open(part, compression))
            with self._expected():
                self._file = stack.enter_context(pacsv.CSVWriter(stream, self._schema))
            self._open = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append."""
        columns = [
            column.cast(field.type) if pa.types.is_string_view(column.type) else column
            for column, field in zip(rows.columns, self._schema, strict=False)
        ]
        with self._expected():
            batch = pa.record_batch([*columns, *_columns(embeddings, self._dtype)], schema=self._schema)
            self._file.write_batch(batch)

    def _expected(self) -> Any:
        kinds = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)
        return expected(*kinds, prefix="CSV cannot hold these columns, write .parquet instead: ")


class LineWriter:
    """The lines of the input as they are, each with its numbers e0, e1, ... behind it."""

    def __init__(
        self, part: Path, lines: Lines, width: int, dtype: DTypeLike, *, compression: str | None = None
    ) -> None:
        self._schema, self._dtype = pa.schema(_number_fields(lines.names, width, dtype)), dtype
        self._stream = _open(part, compression)
        self._stream.write(b"%b,%b\n" % (lines.header, ",".join(self._schema.names).encode()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()

    def write(self, rows: pa.RecordBatch, embeddings: NDArray[Any]) -> None:
        """Append."""
        text = pa.BufferOutputStream()
        numbers = pa.record_batch(_columns(embeddings, self._dtype), schema=self._schema)
        pacsv.write_csv(numbers, text, pacsv.WriteOptions(include_header=False))
        behind = text.getvalue().to_pybytes().splitlines()
        pairs = zip(rows.column(0).to_pylist(), behind, strict=True)
        self._stream.write(b"".join([b"%b,%b\n" % pair for pair in pairs]))


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


def _open(part: Path, compression: str | None) -> Any:
    # Opened here and not by Arrow, which wants names of files in UTF-8.
    file = pa.PythonFile(part.open("wb"), "w")
    return file if compression is None else pa.CompressedOutputStream(file, compression)


def _columns(embeddings: NDArray[Any], dtype: DTypeLike) -> list[pa.Array]:
    """One column for each number of the embeddings [n, D]."""
    return [pa.array(column) for column in np.ascontiguousarray(embeddings.T, dtype)]


def _number_fields(names: Sequence[str], width: int, dtype: DTypeLike) -> list[pa.Field]:
    fields = [pa.field(f"e{i}", pa.from_numpy_dtype(np.dtype(dtype))) for i in range(width)]
    for field in fields:
        _check_free(names, field.name)
    return fields


def _check_free(names: Sequence[str], name: str) -> None:
    if name in names:
        raise click.ClickException(f"the input has a column {name}, the name of a column to write: rename it")
