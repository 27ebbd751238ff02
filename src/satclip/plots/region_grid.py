"""The cells of a region that a picture of it needs embeddings for."""

from dataclasses import dataclass

import numpy as np
import shapely
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.geography.land_grid import BLANK
from satclip.geography.outlines import outlines
from satclip.region import Region
from satclip.sphere import wrap_longitude

Array = NDArray[np.float64]
FINEST = 250  # cells along the longer side, where the spacing asked for is coarser
LEAST_LAND = 100  # cells; with less the outlines of the land, true to some km, say nothing here: all is painted


@dataclass(frozen=True)
class RegionGrid:
    """Cells of a region, north first.

    Attributes:
        region: what they divide.
        shape: rows and columns.
        painted: which of the cells lie on land or within one cell of it; all of them with the sea: bool
            [rows * columns].
        lonlat: centres of those, degrees, float64 [N, 2].
        weights: relative areas, 0 beside the land, float64 [N].
    """

    region: Region
    shape: tuple[int, int]
    painted: NDArray[np.bool_]
    lonlat: Tensor
    weights: Tensor

    @property
    def clipped(self) -> bool:
        """Whether the sea is left out."""
        return not self.painted.all()

    def image(self, colours: Array) -> Array:
        """Colours of the painted cells as a picture, pale grey elsewhere: [N, 3] -> [rows, columns, 3]."""
        image = np.full((len(self.painted), 3), BLANK)
        image[self.painted] = colours
        return image.reshape(*self.shape, 3)


def middle(region: Region) -> float:
    """Its middle meridian."""
    return region.west + region.width / 2


def box(region: Region) -> tuple[float, float, float, float]:
    """West, south, east, north; longitudes from the middle meridian."""
    return -region.width / 2, region.south, region.width / 2, region.north


def region_grid(region: Region, degrees: float, *, land: bool = True) -> RegionGrid:
    """The cells of a region at `degrees`, finer where that would be coarse for its size; of its land alone with `land`.

    Where there is next to no land, all of it is painted.
    """
    height = region.north - region.south
    step = min(degrees, max(region.width, height) / FINEST)
    rows, columns = max(2, round(height / step)), max(2, round(region.width / step))
    east = (np.arange(columns) + 0.5) / columns * region.width - region.width / 2
    north = region.north - (np.arange(rows) + 0.5) / rows * height
    x, y = (axis.ravel() for axis in np.meshgrid(east, north))
    painted = on_land = np.ones(len(x), dtype=bool)
    if land:
        shape = outlines().land_within(middle(region), *box(region))
        near = shapely.buffer(shape, 1.5 * step)
        shapely.prepare(shape)
        shapely.prepare(near)
        inside = shapely.contains_xy(shape, x, y)
        if inside.sum() >= LEAST_LAND:
            painted, on_land = inside | shapely.contains_xy(near, x, y), inside
    longitude = wrap_longitude(torch.from_numpy(x + middle(region)))
    kept = torch.from_numpy(painted)
    lonlat = torch.stack((longitude, torch.from_numpy(y)), 1)[kept]
    areas = torch.cos(torch.deg2rad(lonlat[:, 1])) * torch.from_numpy(on_land)[kept]
    return RegionGrid(region, (rows, columns), painted, lonlat, areas)
