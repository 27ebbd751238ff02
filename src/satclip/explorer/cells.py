"""The cells that a page holds: of the land, of the whole sphere, or of a region."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.geography.countries import countries
from satclip.geography.land_grid import land_grid
from satclip.plots.region_grid import region_grid
from satclip.region import Region

AT_SEA = 65_535  # where a country's number stands
ELSEWHERE_KM = 3000.0  # from a place on, what is like it is news: nearer places are alike by being near
_SHARE = 0.15  # of a region's extent, where that is less


@dataclass(frozen=True)
class Cells:
    """Cells of a grid of longitude and latitude, north first, of which some are kept.

    Attributes:
        shape: rows and columns of the grid.
        region: what the grid divides; None for the whole sphere, from 180 degrees west.
        numbers: of each kept cell in the grid, row by row, uint32 [N].
        lonlat: centres of those, degrees, float64 [N, 2].
        weights: relative areas, 0 for cells that only round a coast off, float64 [N].
    """

    shape: tuple[int, int]
    region: Region | None
    numbers: NDArray[np.uint32]
    lonlat: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def elsewhere_km(self) -> float:
        """How far from a place others must lie to be told as similar ones; those are half of it apart."""
        if self.region is None:
            return ELSEWHERE_KM
        return min(ELSEWHERE_KM, _SHARE * sqrt(self.region.square_kilometres))

    def layout(self) -> dict[str, float]:
        """Where the grid lies, in degrees, for the page."""
        region = self.region or Region(-180.0, -90.0, 360.0, 90.0)
        rows, columns = self.shape
        return {
            "rows": rows,
            "columns": columns,
            "west": region.west,
            "north": region.north,
            "width": region.width,
            "height": region.north - region.south,
        }

    def countries(self) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
        """The country of each cell's centre, by number [N], `AT_SEA` where it is in none, and their names."""
        found = countries().index(self.lonlat.numpy())
        return np.where(found < 0, AT_SEA, found).astype(np.uint16), countries().names


def cells(degrees: float, *, sea: bool = False, region: Region | None = None) -> Cells:
    """Cells of `degrees`: of the land without Antarctica, of everything with `sea`, or of a region's land.

    A region's cells are finer where those would be coarse for its size.

    Raises:
        ValueError: `degrees` is not in (0, 30], or both a region and the sea are asked for.
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    if region is not None:
        if sea:
            raise ValueError("a page of a region is of its land; leave one of --bounds and --sea")
        part = region_grid(region, degrees)
        numbers = np.flatnonzero(part.painted).astype(np.uint32)
        return Cells(part.shape, region, numbers, part.lonlat, part.weights)
    land = land_grid(degrees)
    shape = (land.rows, 2 * land.rows)
    if not sea:
        return Cells(shape, None, land.cells.astype(np.uint32), land.lonlat, land.weights)
    step = 180 / land.rows
    centres = step * (torch.arange(2 * land.rows, dtype=torch.float64) + 0.5)
    latitude, longitude = torch.meshgrid(90 - centres[: land.rows], centres - 180, indexing="ij")
    lonlat = torch.stack((longitude, latitude), -1).reshape(-1, 2)
    return Cells(shape, None, np.arange(len(lonlat), dtype=np.uint32), lonlat, torch.cos(torch.deg2rad(lonlat[:, 1])))
