"""Parquet and GeoParquet."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from satclip.cli.failures import expected
from satclip.cli.tables.columns import find_columns
from satclip.cli.tables.crs import LONLAT, to_lonlat
from satclip.cli.tables.numbers import coordinates
from satclip.cli.tables.places import PIECE_ROWS, Degrees
from satclip.cli.tables.points import point_coordinates


class ParquetPlaces:
    """A Parquet file. Points in a geometry column that its metadata tells of, or two columns of numbers.

    The file's own metadata comes along in `schema`, so GeoParquet stays GeoParquet.
    """

    geometry: str | None

    def __init__(self, path: Path, *, lon: str | None = None, lat: str | None = None, crs: str | None = None) -> None:
        self._path = path
        with self._expected(), pq.ParquetFile(path) as file:
            self.schema = file.schema_arrow
        found = None if lon or lat else _geometry(self.schema)
        if found is None:
            self.geometry = None
            self._columns = list(find_columns(self.schema.names, lon, lat))
            self._to_lonlat = to_lonlat(crs) if crs else None
            for name in self._columns:
                kind = self.schema.field(name).type
                if not (_is_number(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
                    raise click.ClickException(f"{path.name}: column {name} holds {kind}, not numbers")
        else:
            self.geometry, file_crs = found
            self._columns = [self.geometry]
            self._to_lonlat = to_lonlat(crs or file_crs)

    def lonlat(self) -> Iterator[Degrees]:
        """Coordinates alone, [n, 2] at a time; no other column is read."""
        for batch in self._batches(self._columns):
            yield self._degrees(batch)

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows and their coordinates."""
        for batch in self._batches(None):
            yield batch, self._degrees(batch)

    def _degrees(self, batch: pa.RecordBatch) -> Degrees:
        columns = [batch.column(name) for name in self._columns]
        if len(columns) == 1:
            xy = point_coordinates(columns[0])
        else:
            xy = np.stack([coordinates(column) for column in columns], axis=-1)
        return xy if self._to_lonlat is None else self._to_lonlat(xy)

    def _batches(self, names: list[str] | None) -> Iterator[pa.RecordBatch]:
        # Buffered: a row group is decoded page by page, so that one of a hundred million rows fits too.
        with self._expected(), pq.ParquetFile(self._path, pre_buffer=False, buffer_size=1 << 20) as file:
            yield from file.iter_batches(batch_size=PIECE_ROWS, columns=names)

    def _expected(self) -> AbstractContextManager[None]:
        remedy = "fetch or write the file again"
        return expected(pa.ArrowInvalid, OSError, prefix=f"{self._path.name}: ", remedy=remedy)


def _geometry(schema: pa.Schema) -> tuple[str, Any] | None:
    """Name and coordinate reference system of the primary geometry (geoparquet.org, version 1), None without one."""
    metadata = (schema.metadata or {}).get(b"geo")
    if metadata is None:
        return None
    geo = json.loads(metadata)
    name = geo["primary_column"]
    return name, geo["columns"][name].get("crs", LONLAT)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
