"""CSV with any usual separator, plain or compressed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from satclip.cli.failures import expected
from satclip.cli.tables.commas import lines, to_commas
from satclip.cli.tables.crs import to_lonlat
from satclip.cli.tables.dialect import find_layout
from satclip.cli.tables.numbers import Marks, as_type, coordinates, wider_type
from satclip.cli.tables.places import Degrees, Lines, in_pieces
from satclip.cli.tables.records import BLOCK_BYTES, Records, read_records
from satclip.cli.tables.text import REMEDY

_LINES = pa.schema([("line", pa.large_binary())])

Columns = Literal["typed", "lines", "none"]


class CsvPlaces:
    """A CSV file: its rows are found by `records`, counted, and their values taken apart by Arrow.

    `columns` says how they come: `typed`, where a column is numbers if every row of the file is one or is missing, and
    all else stays text; as `lines`, passed on as they were written; or, with `none`, as the text of the coordinates.
    """

    geometry = None

    def __init__(
        self,
        path: Path,
        *,
        lon: str | None = None,
        lat: str | None = None,
        crs: str | None = None,
        columns: Columns = "typed",
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._path, self._block_bytes = path, block_bytes
        with self._expected():
            self._layout = find_layout(path, lon, lat, block_bytes=block_bytes)
        self.rows, self.told = self._layout.rows, self._layout.columns.told
        self.reference = None if crs is None else f"--crs {crs}"
        self._to_lonlat = to_lonlat(crs) if crs else None
        self._coordinates = [self._layout.columns.lon, self._layout.columns.lat]
        self._decimal_comma = self._find_decimal_comma(degrees=self.told and crs is None)
        self.lines = self._header() if columns == "lines" else None
        self._types = self._find_types() if columns == "typed" else dict.fromkeys(self._coordinates, pa.string())

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns that come with every row."""
        return _LINES if self.lines else pa.schema(list(self._types.items()))

    def lonlat(self) -> Iterator[tuple[Degrees, pa.RecordBatch]]:
        """Coordinates alone, [n, 2] at a time, and the text they were read from."""
        for records in self._records():
            batch = self._parsed(records, self._coordinates)
            yield self._degrees(batch), batch

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows and their coordinates."""
        names = list(self._types)
        for records in self._records():
            batch = self._parsed(records, names)
            if self.lines:
                columns = [pa.array(lines(to_commas(records, self._layout.dialect)), pa.large_binary())]
            else:
                columns = [as_type(batch.column(name), kind) for name, kind in self._types.items()]
            rows = pa.record_batch(columns, schema=self.schema)
            for part, piece in zip(in_pieces(rows), in_pieces(batch), strict=True):
                yield part, self._degrees(piece)

    def _degrees(self, batch: pa.RecordBatch) -> Degrees:
        columns = (batch.column(name) for name in self._coordinates)
        xy = np.stack([coordinates(column, decimal_comma=self._decimal_comma) for column in columns], axis=-1)
        return xy if self._to_lonlat is None else self._to_lonlat(xy)

    def _find_decimal_comma(self, *, degrees: bool) -> bool:
        if self._layout.dialect.separator == ",":
            return False
        marks = Marks()
        for records in self._records():
            for column in self._parsed(records, self._coordinates).columns:
                marks.look(column)
        with expected(ValueError, prefix=f"{self._path.name}: "):
            return marks.decimal_comma(degrees=degrees)

    def _header(self) -> Lines:
        layout = self._layout
        records = read_records(self._path, layout.dialect, width=len(layout.names), skip=layout.skip - 1)
        return Lines(lines(to_commas(next(records), layout.dialect))[0], layout.names)

    def _find_types(self) -> dict[str, pa.DataType]:
        """Tell numbers from text by the whole file: the first block of a long one proves nothing."""
        types = dict.fromkeys(self._layout.names, pa.null())
        for records in self._records():
            batch = self._parsed(records, list(types))
            for name in types:
                types[name] = wider_type(types[name], batch.column(name))
        return {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in types.items()}

    def _records(self) -> Iterator[Records]:
        """The rows of data."""
        layout, size = self._layout, self._block_bytes
        with self._expected():
            yield from read_records(
                self._path, layout.dialect, width=len(layout.names), skip=layout.skip, block_bytes=size
            )

    def _parsed(self, records: Records, names: list[str]) -> pa.RecordBatch:
        """Text as written; a value that is empty and not in quotes is null."""
        # The line break keeps Arrow from taking U+FEFF in the first value for a byte order mark.
        text = b"\n" + records.data[records.starts[0] :]
        read = pacsv.ReadOptions(column_names=self._layout.names, block_size=len(text) + 1, use_threads=False)
        separator, quoted = self._layout.dialect
        parse = pacsv.ParseOptions(delimiter=separator, quote_char='"' if quoted else False, newlines_in_values=True)
        convert = pacsv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            null_values=[""],
        )
        with self._expected():
            table = pacsv.read_csv(pa.py_buffer(text), read, parse, convert).combine_chunks()
        if table.num_rows != len(records.starts):
            raise click.ClickException(
                f"{self._path.name}: Arrow reads {table.num_rows} rows where {len(records.starts)} are; {REMEDY}"
            )
        return table.to_batches()[0]

    def _expected(self) -> AbstractContextManager[None]:
        return expected(pa.ArrowInvalid, OSError, prefix=f"{self._path.name}: ", remedy=REMEDY)
