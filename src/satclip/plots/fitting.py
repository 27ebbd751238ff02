"""The projection that fits a region: always equal-area, for colours are compared by how much of the map they cover.

Which one depends on size and latitude, after J. P. Snyder, "Map projections: a working manual" (USGS Professional
Paper 1395, 1987), pages 33-35. PROJ computes all of them, on a sphere, in kilometres.
"""

from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from satclip.region import Region
from satclip.sphere import EARTH_RADIUS_KM

Array = NDArray[np.float64]

WIDE = 180.0  # degrees: beyond, a region is drawn as the world is
POLAR = 60.0  # degrees of its middle: nearer to a pole, parallels are better drawn as circles
TROPICAL = 15.0  # degrees of its middle: nearer to the equator a cone is nearly a cylinder, and a plane does as well
BROAD = 15.0  # degrees: a narrower region is the same in all of them, to a line's width


@dataclass(frozen=True)
class Projection:
    """From degrees to kilometres on the map; longitudes are counted from the region's middle meridian.

    Attributes:
        name: as a caption says it.
        proj: PROJ's transformation.
    """

    name: str
    proj: pyproj.Proj

    def project(self, lonlat: Array) -> Array:
        """Places, longitude from the middle meridian, on the map: [..., 2] -> [..., 2] kilometres."""
        return np.stack(self.proj(lonlat[..., 0], lonlat[..., 1]), axis=-1)

    def unproject(self, xy: Array) -> Array:
        """The places of map positions: [..., 2] -> [..., 2]; NaN where the map has none."""
        lonlat = np.stack(self.proj(xy[..., 0], xy[..., 1], inverse=True), axis=-1)
        lonlat = np.where(np.isfinite(lonlat), lonlat, np.nan)
        again = self.project(np.nan_to_num(lonlat))
        outside = np.isnan(lonlat).any(-1) | ~(np.abs(again - xy).max(-1) < 1e-3)
        return np.where(outside[..., None], np.nan, lonlat)


def fitting(region: Region) -> Projection:
    """The projection for a region.

    Equal Earth where it is wider than 180 degrees, unless it is a cap around a pole: that, and whatever else has its
    middle beyond 60 degrees, is drawn in Lambert's azimuthal projection, about the pole where it is a cap. Broad
    regions of middle latitudes take Albers' conic, with its standard parallels a sixth of the height from the edges;
    the others the azimuthal projection about their middle.
    """
    middle, height = (region.south + region.north) / 2, region.north - region.south
    polar = abs(middle) >= POLAR
    if region.width > WIDE and not polar:
        return _made("Equal Earth", "+proj=eqearth")
    if polar and region.width > WIDE:
        return _made("Lambert azimuthal equal-area, about the pole", f"+proj=laea +lat_0={np.copysign(90, middle)}")
    if not polar and abs(middle) >= TROPICAL and region.width >= BROAD and region.south * region.north >= 0:
        low, high = region.south + height / 6, region.north - height / 6
        return _made(
            f"Albers equal-area conic, standard parallels {low:.3g}° and {high:.3g}°",
            f"+proj=aea +lat_0={middle} +lat_1={low} +lat_2={high}",
        )
    return _made("Lambert azimuthal equal-area", f"+proj=laea +lat_0={middle}")


def _made(name: str, text: str) -> Projection:
    return Projection(name, pyproj.Proj(f"{text} +lon_0=0 +R={EARTH_RADIUS_KM}"))
