"""The cells of a longitude-latitude grid that lie on land: where a picture of the land needs an embedding.

Antarctica is left blank. Neither Sentinel-2's regular acquisitions nor our training places reach it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.geography.countries import land

Array = NDArray[np.float64]

SOUTH = -60.0  # degrees; all land beyond is Antarctica
BLANK = 0.965  # grey value of land without an embedding


@dataclass(frozen=True)
class LandGrid:
    """Cell centres on land, or within one cell of it, north of Antarctica; or all of them.

    Attributes:
        rows: of the whole grid, north first; it has twice as many columns, from 180 degrees west.
        cells: number of each kept cell in the whole grid, row by row, [N].
        lonlat: centres in degrees, float64 [N, 2].
        weights: relative area of a cell whose centre is on land, 0 beside the land, float64 [N].
    """

    rows: int
    cells: NDArray[np.int64]
    lonlat: Tensor
    weights: Tensor

    def image(self, values: Array) -> Array:
        """Values of the kept cells laid out as the whole grid, pale grey elsewhere: [N, C] -> [rows, 2 rows, C]."""
        image = np.full((self.rows * self.rows * 2, values.shape[1]), BLANK)
        image[self.cells] = values
        return image.reshape(self.rows, 2 * self.rows, -1)


@lru_cache(maxsize=2)
def land_grid(degrees: float = 0.5, *, sea: bool = False) -> LandGrid:
    """The land at cells of `degrees` by `degrees`: some 100,000 of them at half a degree. With `sea` the whole world.

    Raises:
        ValueError: when `degrees` is not in (0, 30].
    """
    if not 0 < degrees <= 30:
        raise ValueError(f"degrees must be above 0 and at most 30, got {degrees}")
    import shapely

    rows = round(180 / degrees)
    step = 180 / rows
    centres = step * (np.arange(2 * rows) + 0.5)
    longitude, latitude = (axis.ravel() for axis in np.meshgrid(centres - 180, 90 - centres[:rows]))
    if sea:
        places = np.stack((longitude, latitude), axis=1)
        areas = np.cos(np.radians(latitude))
        return LandGrid(rows, np.arange(len(places)), torch.from_numpy(places), torch.from_numpy(areas))
    shape = land()
    near = shapely.buffer(shape, 1.5 * step)
    shapely.prepare(shape)
    shapely.prepare(near)
    cells = np.flatnonzero(shapely.contains_xy(near, longitude, latitude) & (latitude > SOUTH))
    longitude, latitude = longitude[cells], latitude[cells]
    on_land = shapely.contains_xy(shape, longitude, latitude)
    return LandGrid(
        rows,
        cells,
        torch.from_numpy(np.stack((longitude, latitude), axis=1)),
        torch.from_numpy(np.cos(np.radians(latitude)) * on_land),
    )


def interpolate(image: Array, lonlat: Array) -> Array:
    """Bilinear values of a whole-world grid at places in degrees: [rows, 2 rows, C], [N, 2] -> [N, C].

    Columns join across the date line; the first and last rows reach to the poles.
    """
    rows, columns = image.shape[:2]
    x = (lonlat[:, 0] + 180) / 360 * columns - 0.5
    y = np.clip((90 - lonlat[:, 1]) / 180 * rows - 0.5, 0, rows - 1)
    left, top = np.floor(x).astype(np.int64), np.minimum(np.floor(y).astype(np.int64), rows - 2)
    right, down = (x - left)[:, None], (y - top)[:, None]
    west, east = left % columns, (left + 1) % columns
    upper = image[top, west] * (1 - right) + image[top, east] * right
    lower = image[top + 1, west] * (1 - right) + image[top + 1, east] * right
    return np.asarray(upper * (1 - down) + lower * down)
