"""Which columns hold longitude and latitude."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from satclip.columns import candidates, meant, word

_SHOWN = 50


class Columns(NamedTuple):
    """Names of the columns; `told` where the file's own names say which of the two is which."""

    lon: str
    lat: str
    told: bool


def find_columns(names: Sequence[str], lon: str | None = None, lat: str | None = None) -> Columns:
    """The longitude and the latitude column, as given or as their names say: in any case, with or without a unit.

    Darwin Core's decimalLongitude and decimalLatitude are known (dwc.tdwg.org/terms), x and y as QGIS, GDAL and ArcGIS
    write them too.

    Raises:
        click.ClickException: a given column is missing, or the names say nothing or too much; lists the columns.
    """
    listing = f"the columns are: {listed(names)}"
    for option, given in (("--lon", lon), ("--lat", lat)):
        if given is not None and given not in names:
            raise click.ClickException(f"{option} {given}: no such column; {listing}{meant(given, names)}")
    if lon is not None and lon == lat:
        raise click.ClickException(f"--lon and --lat are both {lon}: give two columns; {listing}")
    lons, lats, told = candidates(names, lon, lat)
    if len(lons) > 1 or len(lats) > 1:
        several = listed(lons if len(lons) > 1 else lats)
        raise click.ClickException(f"{several} could all be meant: choose with --lon and --lat; {listing}")
    if lons and lats:
        return Columns(lons[0], lats[0], told)
    geometry = [name for name in names if word(name) in ("wkt", "wkb", "geom", "thegeom", "wkbgeometry", "geometry")]
    hint = f"; {geometry[0]} is not read as a geometry here, write x and y in two columns" if geometry else ""
    raise click.ClickException(f"no columns named like longitude and latitude: give --lon and --lat; {listing}{hint}")


def check_names(path: Path, names: Sequence[str]) -> None:
    """Refuse columns that share a name.

    Raises:
        click.ClickException: naming them.
    """
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise click.ClickException(
            f"{path.name}: two columns share a name: {listed(twice)}; give every column its own; "
            f"the columns are: {listed(names)}"
        )


def listed(names: Sequence[str]) -> str:
    """Names in one line."""
    shown = ", ".join(_shown(name) for name in names[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"


def _shown(name: str) -> str:
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
    return (text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...") or "(no name)"
