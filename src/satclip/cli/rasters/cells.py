"""The cells of a regular grid of longitudes and latitudes."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

from satclip.cli.failures import need

_MOST = 2**31 - 1  # on a side, in a GeoTIFF; a sixtieth of a metre at the equator
Degrees = NDArray[np.float64]


@dataclass(frozen=True)
class Cells:
    """Square cells of `resolution` degrees, north first, from `west` and `north`."""

    west: float
    north: float
    resolution: float
    height: int
    width: int

    @classmethod
    def covering(cls, bounds: tuple[float, float, float, float], resolution: float) -> "Cells":
        """The cells that fill `bounds` (west, south, east, north in degrees) exactly.

        East may be below west, across the date line: longitudes then run on beyond 180.

        Raises:
            click.BadParameter: `bounds` is no part of the world, or no whole number of cells fits.
        """
        west, south, east, north = bounds
        if west > east:
            west = (west + 180) % 360 - 180 if west < math.inf else west
            east = west + (east - west) % 360 if east > -math.inf else east
        if not (-180 <= west < east <= west + 360 and east <= 540 and -90 <= south < north <= 90) or bounds[2] > 360:
            raise click.BadParameter(
                "give west, south, east, north: longitudes from -180 to 360, east above west or, across the date line, "
                "below it, and -90 <= south < north <= 90",
                param_hint="--bounds",
            )
        counts = []
        for side, extent in (("west to east", east - west), ("south to north", north - south)):
            if extent / resolution > _MOST:
                raise click.BadParameter(
                    f"{resolution:g} degrees are {extent / resolution:.3g} cells {side}, and no format holds more than "
                    f"{_MOST:,}; {extent / _MOST:.2g} is the finest",
                    param_hint="--resolution",
                )
            count = round(extent / resolution)
            if count < 1 or abs(extent / resolution - count) > 1e-6 * count:
                near = extent / max(count, 1)
                raise click.BadParameter(
                    f"{resolution:g} does not divide the {extent:g} degrees {side}; {near:.6g} does",
                    param_hint="--resolution",
                )
            counts.append(count)
        return cls(west, north, resolution, height=counts[1], width=counts[0])

    @property
    def longitudes(self) -> Degrees:
        """Of the centres, west first: [width]. Across the date line they run on beyond 180, as the raster does."""
        return _centres(self.width) * self.resolution + self.west

    @property
    def places(self) -> Degrees:
        """The same meridians as an encoder takes them, none above 360: [width]."""
        return np.where(self.longitudes > 360, self.longitudes - 360, self.longitudes)

    @property
    def latitudes(self) -> Degrees:
        """Of the centres, north first: [height]."""
        return self.north - _centres(self.height) * self.resolution

    def on_land(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Whether centres lie on land, of Natural Earth 1:50m: bool [rows, columns]."""
        need("cli", "shapely")
        import shapely

        from satclip.geography.outlines import outlines

        x, y = self.longitudes[columns], self.latitudes[rows]
        middle = (x[0] + x[-1]) / 2
        half = self.resolution
        box = (x[0] - middle - half, y[-1] - half, x[-1] - middle + half, y[0] + half)
        land = outlines().land_within(middle, *box)
        shapely.prepare(land)
        inside: NDArray[np.bool_] = shapely.contains_xy(land, *np.meshgrid(x - middle, y))
        return inside


def slices(count: int, size: int) -> Iterator[slice]:
    """`count` rows or columns in slices of at most `size`, in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _centres(count: int) -> Degrees:
    return np.arange(count, dtype=np.float64) + 0.5
