"""Tables of places, read and written in pieces."""

from pathlib import Path

import click

from satclip.cli.failures import need
from satclip.cli.tables.places import Places

_CSV = (".csv", ".tsv", ".txt")
_COMPRESSED = (".gz", ".bz2", ".zst")
_PARQUET = (".parquet", ".geoparquet", ".pq")
_VECTOR = (".gpkg", ".geojson", ".json", ".geojsonl", ".fgb", ".shp")


def open_places(
    path: Path,
    *,
    lon: str | None = None,
    lat: str | None = None,
    crs: str | None = None,
    layer: str | None = None,
    typed: bool = True,
) -> Places:
    """The table at `path`, its kind told by its name. `typed=False` spares CSV the pass that tells numbers from text.

    Raises:
        click.ClickException: another kind of file, no coordinates in it, or an extra that is not installed.
    """
    need("cli", "pyarrow")
    from satclip.cli.tables.csv import CsvPlaces
    from satclip.cli.tables.parquet import ParquetPlaces
    from satclip.cli.tables.vector import VectorPlaces

    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        suffix = Path(path.stem).suffix.lower()
    if layer is not None and suffix not in _VECTOR:
        raise click.BadParameter(f"{path.name} has no layers", param_hint="--layer")
    if suffix in _CSV:
        places = CsvPlaces(path, lon=lon, lat=lat, crs=crs)
        if typed:
            places.settle_types()
        return places
    if suffix in _PARQUET:
        return ParquetPlaces(path, lon=lon, lat=lat, crs=crs)
    if suffix in _VECTOR:
        if lon or lat:
            raise click.BadParameter(f"{path.name} holds points: no columns to name", param_hint="--lon/--lat")
        return VectorPlaces(path, layer=layer, crs=crs)
    known = ", ".join((*_CSV, *_PARQUET, *_VECTOR))
    raise click.BadParameter(f"{path.name}: not a kind of file that is read here; these are: {known}")
