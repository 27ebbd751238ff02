"""Draw a region: its land painted with colours, coasts, degrees along the edges."""

from dataclasses import dataclass

import numpy as np
import shapely
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from torch import Tensor

from satclip.geography.countries import land
from satclip.geography.land_grid import BLANK
from satclip.plots.world import COAST, SEA
from satclip.region import Region
from satclip.sphere import wrap_longitude

Array = NDArray[np.float64]
FINEST = 250  # cells along the longer side, where the spacing asked for is coarser
LEAST_LAND = 100  # cells; with less the outlines of the land, true to some 10 km, say nothing here: all is painted
_INCHES = 7.0
_AROUND = 0.05  # of the extent of places, left around them


@dataclass(frozen=True)
class RegionGrid:
    """Cells of a region, north first.

    Attributes:
        region: what they divide.
        shape: rows and columns.
        painted: which of the cells lie on land, bool [rows * columns].
        lonlat: centres of those, degrees, float64 [N, 2].
    """

    region: Region
    shape: tuple[int, int]
    painted: NDArray[np.bool_]
    lonlat: Tensor

    @property
    def weights(self) -> Tensor:
        """Relative areas, float64 [N]."""
        return torch.cos(torch.deg2rad(self.lonlat[:, 1]))

    def image(self, colours: Array) -> Array:
        """Colours of the painted cells as a picture, pale grey elsewhere: [N, 3] -> [rows, columns, 3]."""
        image = np.full((len(self.painted), 3), BLANK)
        image[self.painted] = colours
        return image.reshape(*self.shape, 3)


def region_grid(region: Region, degrees: float) -> RegionGrid:
    """The land of a region at cells of `degrees`, finer where that would be coarse for its size."""
    height = region.north - region.south
    step = min(degrees, max(region.width, height) / FINEST)
    rows, columns = max(2, round(height / step)), max(2, round(region.width / step))
    east = (np.arange(columns) + 0.5) / columns * region.width - region.width / 2
    north = region.north - (np.arange(rows) + 0.5) / rows * height
    x, y = (axis.ravel() for axis in np.meshgrid(east, north))
    shape = land(_middle(region))
    shapely.prepare(shape)
    painted = shapely.contains_xy(shape, x, y)
    if painted.sum() < LEAST_LAND:
        painted = np.ones_like(painted)
    longitude = wrap_longitude(torch.from_numpy(x + region.west + region.width / 2))
    lonlat = torch.stack((longitude, torch.from_numpy(y)), 1)[torch.from_numpy(painted)]
    return RegionGrid(region, (rows, columns), painted, lonlat)


def regional(grid: RegionGrid, image: Array) -> tuple[Figure, Axes]:
    """A map of the region with `image` on its land, true in shape at its middle parallel."""
    region = grid.region
    half, height = region.width / 2, region.north - region.south
    stretch = 1 / max(0.1, float(np.cos(np.radians((region.south + region.north) / 2))))
    tall = float(np.clip(_INCHES * height * stretch / region.width, 2.5, 12))
    figure = Figure((_INCHES, tall + 0.9), dpi=200, layout="constrained")
    axes = figure.add_subplot(facecolor=SEA)
    axes.imshow(
        image, extent=(-half, half, region.south, region.north), aspect=stretch, interpolation="nearest", zorder=1
    )
    box = shapely.box(-half, region.south, half, region.north)
    sea = shapely.difference(box, land(_middle(region)))
    if not grid.painted.all():
        _patch(axes, sea, facecolor=SEA, edgecolor="none", zorder=2)
    _patch(axes, shapely.intersection(land(_middle(region)), box), facecolor="none", edgecolor=COAST, linewidth=0.5)
    meridians, parallels = _round(region.west, region.west + region.width), _round(region.south, region.north)
    axes.set_xticks(meridians - _middle(region), [_degrees(angle, "EW") for angle in meridians])
    axes.set_yticks(parallels, [_degrees(angle, "NS") for angle in parallels])
    axes.tick_params(labelsize=7, width=0.4, length=2)
    axes.set_xlim(-half, half)
    axes.set_ylim(region.south, region.north)
    axes.set_title(str(region), fontsize=9)
    return figure, axes


def _round(low: float, high: float) -> Array:
    """A few round numbers between two."""
    values = np.asarray(MaxNLocator(6).tick_values(low, high))
    return values[(values >= low) & (values <= high)]


def _middle(region: Region) -> float:
    return region.west + region.width / 2


def _patch(axes: Axes, shape: object, **style: object) -> None:
    """Draw the polygons of a shape."""
    polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    if rings:
        outline = Outline.make_compound_path(*(Outline(np.asarray(ring.coords), closed=True) for ring in rings))
        axes.add_patch(PathPatch(outline, **{"zorder": 3, **style}))


def _degrees(angle: float, signs: str) -> str:
    turned = (angle + 180) % 360 - 180 if signs == "EW" else angle
    return f"{round(abs(turned), 2):g}° {signs[bool(turned < 0)]}"


def coasts(axes: Axes, lonlat: Array) -> None:
    """An empty map around places in degrees [N, 2], true in shape in its middle: sea, land and coasts, no frame."""
    west, south = lonlat.min(0) - _AROUND * np.ptp(lonlat, axis=0)
    east, north = lonlat.max(0) + _AROUND * np.ptp(lonlat, axis=0)
    here = shapely.intersection(land(0.0), shapely.box(west, south, east, north))
    axes.set_facecolor(SEA)
    _patch(axes, here, facecolor="#f7f8f6", edgecolor=COAST, linewidth=0.5, zorder=1)
    axes.set_xlim(west, east)
    axes.set_ylim(south, north)
    axes.set_aspect(1 / max(0.1, float(np.cos(np.radians((south + north) / 2)))))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_linewidth(0.4)
