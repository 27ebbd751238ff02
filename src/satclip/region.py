"""A part of the Earth between two meridians and two parallels; it may lie across the date line."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from satclip.sphere import EARTH_RADIUS_KM, wrap_longitude

GLOBAL = 0.35  # share of the surface from which on places count as those of the whole globe; the Americas have 0.34


@dataclass(frozen=True)
class Region:
    """Degrees. `west` lies in [-180, 180), `width` goes east from there, at most once round."""

    west: float
    south: float
    width: float
    north: float

    @classmethod
    def of(cls, bounds: Sequence[float]) -> "Region":
        """The region of [west, south, east, north]; east may be below west, across the date line.

        Raises:
            ValueError: they are no such four numbers.
        """
        numbers = [float(each) for each in bounds]
        if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
            raise ValueError(f"bounds are [west, south, east, north] in degrees, got {list(bounds)}")
        west, south, east, north = numbers
        if not (-180 <= west <= 360 and -180 <= east <= 360 and -90 <= south < north <= 90 and west != east):
            raise ValueError(
                f"bounds are [west, south, east, north], longitudes from -180 to 360 and latitudes from -90 to 90 with "
                f"south below north, got {numbers}"
            )
        width = 360.0 if east - west >= 360 else (east - west) % 360
        return cls(_wrapped(west), south, width, north)

    @classmethod
    def around(cls, lonlat: Tensor) -> "Region | None":
        """The smallest region that holds all places, degrees [N, 2]; None where that is a third of the Earth."""
        longitude = wrap_longitude(lonlat[:, 0]).sort().values
        gaps = torch.cat((longitude[1:], longitude[:1] + 360)) - longitude
        widest = int(gaps.argmax())
        west = float(longitude[(widest + 1) % len(longitude)])
        found = cls(west, float(lonlat[:, 1].min()), float(360 - gaps[widest]), float(lonlat[:, 1].max()))
        return None if found.share >= GLOBAL else found

    @property
    def east(self) -> float:
        """The eastern meridian, in [-180, 180]."""
        return self.west + self.width if self.west + self.width <= 180 else _wrapped(self.west + self.width)

    @property
    def share(self) -> float:
        """How much of the Earth's surface it is, 0 to 1."""
        return self.width / 360 * (math.sin(math.radians(self.north)) - math.sin(math.radians(self.south))) / 2

    @property
    def square_kilometres(self) -> float:
        """Its area."""
        return 4 * math.pi * EARTH_RADIUS_KM**2 * self.share

    def contains(self, lonlat: Tensor) -> Tensor:
        """Whether places lie in it, its edges included: degrees [N, 2] -> bool [N]."""
        longitude, latitude = lonlat.unbind(-1)
        return (self.eastward(longitude) <= self.width) & (latitude >= self.south) & (latitude <= self.north)

    def eastward(self, longitude: Tensor) -> Tensor:
        """Degrees east of its western meridian, 0 to 360: [N] -> [N]."""
        return torch.remainder(longitude - self.west, 360)

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Places drawn evenly over its surface, float64 [count, 2] in degrees."""
        u, v = torch.rand(2, count, generator=generator, dtype=torch.float64)
        low, high = math.sin(math.radians(self.south)), math.sin(math.radians(self.north))
        latitude = torch.rad2deg(torch.asin((low + v * (high - low)).clamp(-1, 1)))
        return torch.stack((wrap_longitude(self.west + u * self.width), latitude), -1)

    def __str__(self) -> str:
        latitudes = f"{_named(self.south, 'N', 'S')} to {_named(self.north, 'N', 'S')}"
        return f"{_named(self.west, 'E', 'W')} to {_named(self.east, 'E', 'W')}, {latitudes}"


def _wrapped(longitude: float) -> float:
    return float(wrap_longitude(torch.tensor(longitude, dtype=torch.float64)))


def _named(degrees: float, positive: str, negative: str) -> str:
    return f"{round(abs(degrees), 1):g}° {negative if degrees < 0 else positive}"
