"""A table of points for formats without geometry: longitude and latitude as two columns of numbers."""

from collections.abc import Iterator

import click
import pyarrow as pa

from satclip.cli.tables.places import Degrees, Places


class PlainPlaces:
    """`places` with `lon` and `lat` in degrees instead of its geometry."""

    geometry = None
    lines = None

    def __init__(self, places: Places, geometry: str) -> None:
        self._places = places
        self.rows, self.told, self.reference = places.rows, places.told, places.reference
        self._kept = [name for name in places.schema.names if name != geometry]
        for name in ("lon", "lat"):
            if name in self._kept:
                raise click.ClickException(
                    f"the input has a geometry and a column {name}: write .parquet, or rename it"
                )
        degrees = [pa.field(name, pa.float64()) for name in ("lon", "lat")]
        self.schema = pa.schema([*(places.schema.field(name) for name in self._kept), *degrees])

    def lonlat(self) -> Iterator[tuple[Degrees, pa.RecordBatch]]:
        """Coordinates alone, [n, 2] at a time, and the points."""
        return self._places.lonlat()

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows and their coordinates."""
        for rows, lonlat in self._places.pieces():
            columns = [*(rows.column(name) for name in self._kept), pa.array(lonlat[:, 0]), pa.array(lonlat[:, 1])]
            yield pa.record_batch(columns, schema=self.schema), lonlat
