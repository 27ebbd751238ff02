"""Which columns hold longitude and latitude."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

_SHOWN = 50
_LON = {"lon", "lng", "long", "longitude", "decimallongitude", "longitudedecimal", "geolon", "geolongitude"}
_LAT = {"lat", "latitude", "decimallatitude", "latitudedecimal", "geolat", "geolatitude"}
# Degrees under their own name win over x and y, which a table may carry beside them in some other unit.
_PAIRS = ((_LON, _LAT), ({"x", "xcoord", "coordx", "pointx"}, {"y", "ycoord", "coordy", "pointy"}))
_UNIT = re.compile(
    r"(\(.*\)|\[.*\]|[\W_](dd|deg|degs|degree|degrees|decimal|wgs84|epsg4326|degrees?_?(east|north|e|n)))$"
)


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
            raise click.ClickException(f"{option} {given}: no such column; {listing}")
    if lon is not None and lon == lat:
        raise click.ClickException(f"--lon and --lat are both {lon}: give two columns; {listing}")
    for longitudes, latitudes in _PAIRS:
        lons = [lon] if lon is not None else [name for name in names if name != lat and _word(name) in longitudes]
        lats = [lat] if lat is not None else [name for name in names if name != lon and _word(name) in latitudes]
        if len(lons) > 1 or len(lats) > 1:
            several = listed(lons if len(lons) > 1 else lats)
            raise click.ClickException(f"{several} could all be meant: choose with --lon and --lat; {listing}")
        if lons and lats:
            return Columns(lons[0], lats[0], told=lon is None and lat is None and longitudes is _LON)
    geometry = [name for name in names if _word(name) in ("wkt", "wkb", "geom", "thegeom", "wkbgeometry", "geometry")]
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


def _word(name: str) -> str:
    """A name without case, unit and marks: `Longitude (deg)` as longitude."""
    word = name.strip().lower()
    if word.startswith("_"):  # the habit of names that are not for others
        return word
    return re.sub(r"[\W_]", "", _UNIT.sub("", word)) or word
