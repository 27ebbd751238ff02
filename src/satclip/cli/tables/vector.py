"""GeoPackage, GeoJSON and what else GDAL reads as a layer of points."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import click
import pyarrow as pa

from satclip.cli.failures import expected, need
from satclip.cli.tables.crs import to_lonlat
from satclip.cli.tables.places import PIECE_ROWS, Degrees
from satclip.cli.tables.points import point_coordinates


class VectorPlaces:
    """One layer of points, streamed as Arrow. `schema` describes its geometry as GeoParquet does."""

    def __init__(self, path: Path, *, layer: str | None = None, crs: str | None = None) -> None:
        need("cli", "pyogrio", "pyproj")
        import pyogrio

        self._path = path
        with self._expected():
            names = [str(name) for name, _ in pyogrio.list_layers(path)]
        if layer is None and len(names) > 1:
            raise click.ClickException(f"{path.name} has several layers, choose with --layer: {', '.join(names)}")
        if layer is not None and layer not in names:
            raise click.ClickException(f"--layer {layer}: no such layer; {path.name} has {', '.join(names)}")
        self._layer = layer
        with self._expected(), self._open() as (meta, reader):
            fields = reader.schema
        self.geometry = meta["geometry_name"] or "wkb_geometry"
        if self.geometry not in fields.names:
            raise click.ClickException(f"{path.name}: layer {layer or names[0]} has no geometry")
        self._to_lonlat = to_lonlat(crs or meta["crs"])
        self.schema = _geoparquet(fields, self.geometry, crs or meta["crs"])

    def lonlat(self) -> Iterator[Degrees]:
        """Coordinates alone, [n, 2] at a time; no other column is read."""
        with self._expected(), self._open(columns=[]) as (_, reader):
            for batch in reader:
                yield self._degrees(batch)

    def pieces(self) -> Iterator[tuple[pa.RecordBatch, Degrees]]:
        """Rows and their coordinates."""
        with self._expected(), self._open() as (_, reader):
            for batch in reader:
                yield pa.record_batch(batch.columns, schema=self.schema), self._degrees(batch)

    def _degrees(self, batch: pa.RecordBatch) -> Degrees:
        return self._to_lonlat(point_coordinates(batch.column(self.geometry)))

    def _open(self, columns: list[str] | None = None) -> Any:
        import pyogrio

        return pyogrio.open_arrow(
            self._path, layer=self._layer, columns=columns, batch_size=PIECE_ROWS, use_pyarrow=True
        )

    def _expected(self) -> AbstractContextManager[None]:
        from pyogrio.errors import DataLayerError, DataSourceError

        remedy = "fetch or write the file again"
        return expected(DataSourceError, DataLayerError, OSError, prefix=f"{self._path.name}: ", remedy=remedy)


def _geoparquet(fields: pa.Schema, geometry: str, crs: Any) -> pa.Schema:
    """The same columns, geometry as plain WKB, with the metadata of GeoParquet 1.0."""
    import pyproj

    column = {"encoding": "WKB", "geometry_types": [], "crs": pyproj.CRS.from_user_input(crs).to_json_dict()}
    geo = {"version": "1.0.0", "primary_column": geometry, "columns": {geometry: column}}
    plain = [pa.field(field.name, field.type) for field in fields]
    return pa.schema(plain, metadata={"geo": json.dumps(geo)})
