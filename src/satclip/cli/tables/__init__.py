"""Tables of places, read and written in pieces."""

import stat
from pathlib import Path
from typing import Literal

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
    columns: Literal["typed", "lines", "none"] = "typed",
) -> Places:
    """The table at `path`, its kind told by its name. `columns` says how those of a CSV come: see `CsvPlaces`.

    Raises:
        click.ClickException: another kind of file, no coordinates in it, or an extra that is not installed.
    """
    need("cli", "pyarrow")
    _check_rereadable(path)
    from satclip.cli.tables.csv import CsvPlaces
    from satclip.cli.tables.parquet import ParquetPlaces
    from satclip.cli.tables.vector import VectorPlaces

    suffix = path.suffix.lower()
    if suffix in _COMPRESSED:
        suffix = Path(path.stem).suffix.lower()
    if layer is not None and suffix not in _VECTOR:
        raise click.BadParameter(f"{path.name} has no layers", param_hint="--layer")
    if suffix in _CSV:
        return CsvPlaces(path, lon=lon, lat=lat, crs=crs, columns=columns)
    if suffix in _PARQUET:
        return ParquetPlaces(path, lon=lon, lat=lat, crs=crs)
    if suffix in _VECTOR:
        if lon is not None or lat is not None:
            raise click.BadParameter(f"{path.name} holds points: no columns to name", param_hint="--lon/--lat")
        return VectorPlaces(path, layer=layer, crs=crs)
    known = ", ".join((*_CSV, *_PARQUET, *_VECTOR))
    raise click.BadParameter(f"{path.name}: not a kind of file that is read here; these are: {known}")


def _check_rereadable(path: Path) -> None:
    """Refuse what can be read only once: a table is looked through before it is embedded."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise click.ClickException(f"{path} is no ordinary file, and a table is read twice: save it to a file first")
