"""Parquet and GeoParquet."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from satclip.cli.failures import expected
from satclip.cli.tables.columns import check_names, find_columns
from satclip.cli.tables.crs import LONLAT, agreed, to_lonlat
from satclip.cli.tables.numbers import coordinates, is_text
from satclip.cli.tables.places import PIECE_ROWS, Degrees
from satclip.cli.tables.points import is_wkb, point_coordinates


class ParquetPlaces:
    """A Parquet file. Points in a geometry column that its metadata tells of, or two columns of numbers.

    The file's own metadata comes along in `schema`, so GeoParquet stays GeoParquet; metadata of a geometry that is not
    there neither decides nor comes along.
    """

    geometry: str | None
    reference: str | None
    lines = None

    def __init__(self, path: Path, *, lon: str | None = None, lat: str | None = None, crs: str | None = None) -> None:
        self._path = path
        with self._file() as file:
            self.schema, self.rows = file.schema_arrow, file.metadata.num_rows
        check_names(path, self.schema.names)
        found = _geometry(self.schema)
        if found is None:
            metadata = {key: value for key, value in (self.schema.metadata or {}).items() if key != b"geo"}
            self.schema = self.schema.with_metadata(metadata or None)
        if found is None or lon is not None or lat is not None:
            columns = find_columns(self.schema.names, lon, lat)
            self.geometry, self.told = None, columns.told
            self._columns = [columns.lon, columns.lat]
            self.reference = None if crs is None else f"--crs {crs}"
            self._to_lonlat = None if crs is None else to_lonlat(crs)
            for name in self._columns:
                kind = self.schema.field(name).type
                if not _is_number(kind):
                    raise click.ClickException(f"{path.name}: column {name} holds {kind}, not numbers")
        else:
            self.geometry, stated = found
            self.told = False
            self._columns = [self.geometry]
            known, self.reference = agreed(path.name, stated, crs)
            self._to_lonlat = to_lonlat(known)

    def lonlat(self) -> Iterator[tuple[Degrees, pa.RecordBatch]]:
        """Coordinates alone, [n, 2] at a time, and the columns they were read from; no other one is read."""
        for batch in self._batches(self._columns):
            batch = batch.select(self._columns)
            yield self._degrees(batch), batch

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows and their coordinates."""
        for batch in self._batches(None):
            yield batch.replace_schema_metadata(self.schema.metadata), self._degrees(batch)

    def _degrees(self, batch: pa.RecordBatch) -> Degrees:
        columns = [batch.column(name) for name in self._columns]
        if len(columns) == 1:
            xy = point_coordinates(columns[0])
        else:
            xy = np.stack([coordinates(column) for column in columns], axis=-1)
        return xy if self._to_lonlat is None else self._to_lonlat(xy)

    def _batches(self, names: list[str] | None) -> Iterator[pa.RecordBatch]:
        with self._file() as file:
            yield from file.iter_batches(batch_size=PIECE_ROWS, columns=names)

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        # Buffered: a row group is decoded page by page, so that one of a hundred million rows fits too. Opened here and
        # not by Arrow, which wants names of files in UTF-8.
        remedy = "fetch or write the file again"
        with (
            expected(pa.ArrowInvalid, OSError, prefix=f"{self._path.name}: ", remedy=remedy),
            self._path.open("rb") as bytes_,
            pq.ParquetFile(bytes_, pre_buffer=False, buffer_size=1 << 20) as file,
        ):
            yield file


def _geometry(schema: pa.Schema) -> tuple[str, Any] | None:
    """Name and coordinate reference system of the primary geometry (geoparquet.org, version 1), None without one."""
    try:
        geo = json.loads((schema.metadata or {}).get(b"geo", b"null"))
        name = geo["primary_column"]
        column = geo["columns"][name]
        crs = column.get("crs", LONLAT)
        kind = schema.field(name).type
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return (name, crs) if is_wkb(kind) or pa.types.is_nested(kind) else None


def _is_number(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_number(kind.value_type)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return bool(numeric or is_text(kind))
