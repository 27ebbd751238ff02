"""Under which names tables keep longitude and latitude."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

_LON = {"lon", "lng", "long", "longitude", "decimallongitude", "longitudedecimal", "geolon", "geolongitude"}
_LAT = {"lat", "latitude", "decimallatitude", "latitudedecimal", "geolat", "geolatitude"}
# Degrees under their own name win over x and y, which a table may carry beside them in some other unit.
_PAIRS = ((_LON, _LAT), ({"x", "xcoord", "coordx", "pointx"}, {"y", "ycoord", "coordy", "pointy"}))
_UNIT = re.compile(
    r"(\(.*\)|\[.*\]|[\W_](dd|deg|degs|degree|degrees|decimal|wgs84|epsg4326|degrees?_?(east|north|e|n)))$"
)


class Candidates(NamedTuple):
    """Columns that may be meant.

    Attributes:
        lons: for longitude; one where the table is clear, none where no pair of names is found.
        lats: for latitude.
        told: whether the file's own names say which of the two is which.
    """

    lons: list[str]
    lats: list[str]
    told: bool


def meant(name: str, names: Sequence[str]) -> str:
    """The end of a message about a column that is not there: the one whose name is nearest, else nothing."""
    by_word = {each.casefold(): each for each in reversed(names)}
    near = get_close_matches(name.casefold(), by_word, 1, 0.7)
    return f"; did you mean {by_word[near[0]]}?" if near else ""


def candidates(names: Sequence[str], lon: str | None = None, lat: str | None = None) -> Candidates:
    """The columns of longitude and latitude, as given or as their names say: in any case, with or without a unit.

    Darwin Core's decimalLongitude and decimalLatitude are known (dwc.tdwg.org/terms), x and y as QGIS, GDAL and ArcGIS
    write them too.
    """
    for longitudes, latitudes in _PAIRS:
        lons = [lon] if lon is not None else [name for name in names if name != lat and word(name) in longitudes]
        lats = [lat] if lat is not None else [name for name in names if name != lon and word(name) in latitudes]
        if len(lons) > 1 or len(lats) > 1 or (lons and lats):
            return Candidates(lons, lats, told=lon is None and lat is None and longitudes is _LON)
    return Candidates([], [], told=False)


def find_lonlat(names: Sequence[str], lon: str | None = None, lat: str | None = None) -> tuple[str, str]:
    """The longitude and the latitude column.

    Raises:
        ValueError: the names say nothing or too much; lists the columns.
    """
    lons, lats, _ = candidates(names, lon, lat)
    listing = f"the columns are: {', '.join(map(str, names))}"
    if len(lons) > 1 or len(lats) > 1:
        several = ", ".join(lons if len(lons) > 1 else lats)
        raise ValueError(f"{several} could all be meant: give the two columns alone; {listing}")
    if not lons or not lats:
        raise ValueError(f"no columns named like longitude and latitude: name them lon and lat; {listing}")
    return lons[0], lats[0]


def word(name: str) -> str:
    """A name without case, unit and marks: `Longitude (deg)` as longitude."""
    plain = str(name).strip().lower()
    if plain.startswith("_"):  # the habit of names that are not for others
        return plain
    return re.sub(r"[\W_]", "", _UNIT.sub("", plain)) or plain
