"""CSV, tab- and semicolon-separated, plain or compressed."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from satclip.cli.failures import expected
from satclip.cli.tables.columns import find_columns
from satclip.cli.tables.crs import to_lonlat
from satclip.cli.tables.numbers import as_type, coordinates, wider_type
from satclip.cli.tables.places import Degrees, in_pieces

_BLOCK_BYTES = 1 << 22


class CsvPlaces:
    """A CSV file. A column is numbers where every row of the file is one or is missing; all else stays text."""

    geometry = None

    def __init__(self, path: Path, *, lon: str | None = None, lat: str | None = None, crs: str | None = None) -> None:
        self._path = path
        self._parse = pacsv.ParseOptions(delimiter=_delimiter(path), newlines_in_values=True)
        with _expected(path):
            names = pacsv.open_csv(str(path), parse_options=self._parse).schema.names
        if len(set(names)) < len(names):
            raise click.ClickException(f"{path.name}: two columns share a name: {', '.join(names)}")
        self._columns = find_columns(names, lon, lat)
        self._to_lonlat = to_lonlat(crs) if crs else None
        self._types = dict.fromkeys(names, pa.string())

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns: all text until `settle_types`."""
        return pa.schema(list(self._types.items()))

    def settle_types(self) -> None:
        """Read the whole file to tell numbers from text: the first block of a long file proves nothing."""
        types = dict.fromkeys(self._types, pa.null())
        for batch in self._batches(list(types)):
            for name in types:
                types[name] = wider_type(types[name], batch.column(name))
        self._types = {name: pa.string() if pa.types.is_null(kind) else kind for name, kind in types.items()}

    def lonlat(self) -> Iterator[Degrees]:
        """Coordinates alone, [n, 2] at a time."""
        for batch in self._batches(list(self._columns)):
            yield self._degrees(batch)

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows and their coordinates."""
        for batch in self._batches(list(self._types)):
            for piece in in_pieces(batch):
                columns = [as_type(piece.column(name), kind) for name, kind in self._types.items()]
                yield pa.record_batch(columns, schema=self.schema), self._degrees(piece)

    def _degrees(self, batch: pa.RecordBatch) -> Degrees:
        xy = np.stack([coordinates(batch.column(name)) for name in self._columns], axis=-1)
        return xy if self._to_lonlat is None else self._to_lonlat(xy)

    def _batches(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Text as written; an empty value is null."""
        convert = pacsv.ConvertOptions(
            include_columns=names,
            column_types=dict.fromkeys(names, pa.string()),
            strings_can_be_null=True,
            null_values=[""],
        )
        read = pacsv.ReadOptions(block_size=_BLOCK_BYTES)
        with _expected(self._path):
            yield from pacsv.open_csv(str(self._path), read, self._parse, convert)


def _expected(path: Path) -> AbstractContextManager[None]:
    remedy = "it needs a header, as many values in every row, and UTF-8: save it again so"
    return expected(pa.ArrowInvalid, OSError, prefix=f"{path.name}: ", remedy=remedy)


def _delimiter(path: Path) -> str:
    """The one of comma, semicolon and tab that the header holds most of."""
    with _expected(path), pa.input_stream(str(path)) as stream:
        header = stream.read(1 << 16).split(b"\n")[0]
    return max(",;\t", key=lambda mark: header.count(mark.encode()))
