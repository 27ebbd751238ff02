"""Zones of the UTM grid and metres in them, as GPS2Vec numbers them."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BANDS = "CDEFGHJKLMNPQRSTUVWX"
# Zones that are wider than 6 degrees, around Norway and Svalbard: west and east.
WIDER = {"32 V": (3, 12), "31 X": (0, 9), "33 X": (9, 21), "35 X": (21, 33), "37 X": (33, 42)}
EDGE_STEP, BELOW_EDGE = 0.1, 1e-8  # degrees


class Extent(NamedTuple):
    """Metres of a zone: the smallest and largest easting and northing."""

    west: float
    east: float
    south: float
    north: float


def zones(lonlat: Array) -> NDArray[np.str_]:
    """The zone of each place, "32 V"; "" beyond 80 degrees south and 84 north. Degrees [N, 2] -> [N]."""
    longitude, latitude = (lonlat[:, 0] + 180) % 360 - 180, lonlat[:, 1]
    number = np.floor((longitude + 180) / 6).astype(int) + 1
    band = np.minimum(np.floor((latitude + 80) / 8), len(BANDS) - 1).astype(int)
    for name, (west, east) in WIDER.items():
        row = BANDS.index(name[-1])
        number[(band == row) & (longitude >= west) & (longitude < east)] = int(name.split()[0])
    inside = (latitude >= -80) & (latitude <= 84)
    named = [f"{n} {BANDS[b]}" if ok else "" for n, b, ok in zip(number, band, inside, strict=True)]
    return np.array(named, dtype=np.str_)


def metres(zone: str, lonlat: Array) -> Array:
    """Easting and northing in a zone's own system (10,000 km are added south of the equator): [N, 2] -> [N, 2].

    Raises:
        ModuleNotFoundError: without pyproj.
    """
    try:
        from pyproj import Transformer
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("UTM zones need pyproj: pip install 'satclip[cli]'") from error
    number, band = zone.split()
    system = 32600 + int(number) + (0 if BANDS.index(band) >= BANDS.index("N") else 100)
    transform = Transformer.from_crs(4326, system, always_xy=True).transform
    return np.stack(transform(lonlat[:, 0], lonlat[:, 1]), -1)


@lru_cache(maxsize=1200)
def extent(zone: str) -> Extent:
    """How far a zone reaches: from the west end of its parallels to its mirror at 500 km; its northings along both."""
    number, band = zone.split()
    row = BANDS.index(band)
    west, east = WIDER.get(zone, (6 * int(number) - 186, 6 * int(number) - 180))
    south = -80 + 8 * row
    north = south + (12 if row == len(BANDS) - 1 else 8) - BELOW_EDGE
    along = np.arange(west, east, EDGE_STEP)
    low = metres(zone, np.stack([along, np.full(len(along), float(south))], -1))
    high = metres(zone, np.stack([along, np.full(len(along), north)], -1))
    left = float(min(low[0, 0], high[0, 0]))
    return Extent(left, 1_000_000 - left, float(low[:, 1].min()), float(high[:, 1].max()))
