"""GeoPackage, GeoJSON and what else GDAL reads as a layer of points."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa

from satclip.cli.failures import expected, need
from satclip.cli.tables.columns import check_names, listed
from satclip.cli.tables.crs import agreed, to_lonlat
from satclip.cli.tables.places import PIECE_ROWS, Degrees
from satclip.cli.tables.points import point_coordinates

if TYPE_CHECKING:
    import pyproj

# GDAL's names for the reference systems 0 and -1 of a GeoPackage, which say that there is none (OGC 12-128, table 5).
_UNDEFINED = ("Undefined geographic SRS", "Undefined Cartesian SRS", "Undefined SRS")


class VectorPlaces:
    """One layer of points, streamed as Arrow. `schema` describes its geometry as GeoParquet does."""

    told = False
    lines = None

    def __init__(self, path: Path, *, layer: str | None = None, crs: str | None = None) -> None:
        need("cli", "pyogrio", "pyproj")
        import pyogrio

        self._path = path
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise click.ClickException(f"{path}: GDAL wants names of files in UTF-8: rename it") from None
        with self._expected():
            kinds = {str(name): kind for name, kind in pyogrio.list_layers(path)}
            self._layer = _choose(path, kinds, layer)
            self._options = _options(pyogrio.read_info(path, layer=self._layer)["driver"])
            info = pyogrio.read_info(path, layer=self._layer, force_feature_count=True, **self._options)
            with self._open() as (meta, reader):
                fields = reader.schema
        self.rows = int(info["features"])
        self.geometry = meta["geometry_name"] or "wkb_geometry"
        if self.geometry not in fields.names:
            raise click.ClickException(f"{path.name}: layer {self._layer} has no geometry")
        check_names(path, fields.names)
        stated = None if any(name in str(meta["crs"]) for name in _UNDEFINED) else meta["crs"]
        known, self.reference = agreed(path.name, stated, crs)
        self._to_lonlat = to_lonlat(known)
        self.schema = _geoparquet(fields, self.geometry, known)

    def lonlat(self) -> Iterator[tuple[Degrees, pa.RecordBatch]]:
        """Coordinates alone, [n, 2] at a time, and the points; no other column is read."""
        with self._expected(), self._open(columns=[]) as (_, reader):
            for batch in reader:
                batch = batch.select([self.geometry])
                yield self._degrees(batch), batch

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
            self._path, layer=self._layer, columns=columns, batch_size=PIECE_ROWS, use_pyarrow=True, **self._options
        )

    def _expected(self) -> AbstractContextManager[None]:
        from pyogrio.errors import DataLayerError, DataSourceError

        remedy = "fetch or write the file again"
        return expected(DataSourceError, DataLayerError, OSError, prefix=f"{self._path.name}: ", remedy=remedy)


def _choose(path: Path, kinds: dict[str, Any], layer: str | None) -> str:
    """The layer that is named, else the only one that has a geometry: tables of styles are layers to GDAL too."""
    if layer is not None and layer not in kinds:
        raise click.ClickException(f"--layer {layer}: no such layer; {path.name} has {listed(list(kinds))}")
    names = [layer] if layer is not None else [name for name, kind in kinds.items() if kind is not None]
    if len(names) > 1:
        raise click.ClickException(f"{path.name} has several layers, choose with --layer: {listed(names)}")
    if not names or kinds[names[0]] is None:
        raise click.ClickException(f"{path.name}: layer {listed(names or list(kinds))} has no geometry")
    return names[0]


def _options(driver: str) -> dict[str, str]:
    """GDAL turns text that looks like a date into one, which would come out in other words."""
    return {"DATE_AS_STRING": "YES"} if driver in ("GeoJSON", "GeoJSONSeq", "ESRIJSON", "TopoJSON") else {}


def _geoparquet(fields: pa.Schema, geometry: str, crs: "pyproj.CRS | str") -> pa.Schema:
    """The same columns, geometry as plain WKB, with the metadata of GeoParquet 1.0."""
    import pyproj

    column = {"encoding": "WKB", "geometry_types": [], "crs": pyproj.CRS.from_user_input(crs).to_json_dict()}
    geo = {"version": "1.0.0", "primary_column": geometry, "columns": {geometry: column}}
    plain = [pa.field(field.name, field.type) for field in fields]
    return pa.schema(plain, metadata={"geo": json.dumps(geo)})
