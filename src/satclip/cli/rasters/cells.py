"""The cells of a regular grid of longitudes and latitudes."""

from collections.abc import Iterator
from dataclasses import dataclass

import click
import numpy as np
from numpy.typing import NDArray

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

        Raises:
            click.BadParameter: `bounds` is no part of the world, or no whole number of cells fits.
        """
        west, south, east, north = bounds
        if not (-180 <= west < east <= 360 and east - west <= 360 and -90 <= south < north <= 90):
            raise click.BadParameter(
                "give west, south, east, north with -180 <= west < east <= 360 and -90 <= south < north <= 90",
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
        """Of the centres, west first: [width]."""
        return _centres(self.width) * self.resolution + self.west

    @property
    def latitudes(self) -> Degrees:
        """Of the centres, north first: [height]."""
        return self.north - _centres(self.height) * self.resolution


def slices(count: int, size: int) -> Iterator[slice]:
    """`count` rows or columns in slices of at most `size`, in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _centres(count: int) -> Degrees:
    return np.arange(count, dtype=np.float64) + 0.5
