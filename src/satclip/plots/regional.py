"""Draw a region: its land painted with colours, coasts and borders, degrees along the edges, a scale bar."""

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from satclip.geography.countries import land
from satclip.geography.outlines import outlines
from satclip.plots.fitting import WIDE, Projection, fitting
from satclip.plots.region_grid import RegionGrid, box, middle
from satclip.plots.scale_bar import scale_bar
from satclip.plots.world import COAST, GRATICULE, RIM, SEA
from satclip.region import Region

Array = NDArray[np.float64]
_PIXELS = 1200  # of the painted raster, along its longer side
_AROUND = 0.05  # of the extent of places, left around them
_MARGIN = 0.015  # of the map, left around it
_BORDER = "#4b5a66"


def draw(axes: Axes, grid: RegionGrid, image: Array) -> Projection:
    """Draw the region on empty axes, `image` [rows, columns, 3] on its land or all over it. Returns its projection."""
    region, projection = grid.region, fitting(grid.region)
    rim = projection.project(_rim(region))
    (left, low), (right, high) = rim.min(0), rim.max(0)
    axes.set_axis_off()
    axes.set_aspect("equal")
    pad = _MARGIN * max(right - left, high - low)
    axes.set_xlim(left - pad, right + pad)
    axes.set_ylim(low - pad, high + pad)
    frame = Outline(rim, closed=True)
    axes.add_patch(PathPatch(frame, facecolor=SEA, edgecolor="none", zorder=0))
    extent = (float(left), float(right), float(low), float(high))
    paint = axes.imshow(_painted(image, region, projection, extent), extent=extent, interpolation="nearest", zorder=1)
    paint.set_clip_path(frame, axes.transData)
    if grid.clipped:
        west, south, east, north = box(region)
        sea = shapely.difference(
            shapely.box(west, south, east, north), outlines().land_within(middle(region), *box(region))
        )
        _patch(axes, sea, projection, facecolor=SEA, edgecolor="none", zorder=2)
    for lines, colour, width in ((outlines().borders, _BORDER, 0.35), (outlines().coasts, COAST, 0.5)):
        drawn = [
            projection.project(_dense(line)) for line in outlines().lines_within(lines, middle(region), *box(region))
        ]
        axes.add_collection(LineCollection(drawn, colors=colour, linewidths=width, zorder=3))
    _graticule(axes, region, projection)
    axes.add_collection(LineCollection(_edges(region, projection), colors=RIM, linewidths=0.9, zorder=4))
    scale_bar(axes, projection, region)
    return projection


def positions(lonlat: Array, region: Region) -> Array:
    """Where places in degrees lie on the axes of `draw`: [N, 2] -> [N, 2] kilometres."""
    turned = (lonlat[:, 0] - middle(region) + 180) % 360 - 180
    return fitting(region).project(np.stack((turned, lonlat[:, 1]), 1))


def shape_of(region: Region) -> float:
    """Height of the region's map over its width."""
    rim = fitting(region).project(_rim(region))
    width, height = np.ptp(rim, axis=0)
    return float(height / width)


def _painted(image: Array, region: Region, projection: Projection, extent: tuple[float, float, float, float]) -> Array:
    """`image` as the map shows it, RGBA, each pixel in the colour of its cell; transparent outside the region."""
    left, right, low, high = extent
    pixel = max(right - left, high - low) / _PIXELS
    columns, rows = max(1, round((right - left) / pixel)), max(1, round((high - low) / pixel))
    x = left + (np.arange(columns) + 0.5) / columns * (right - left)
    y = high - (np.arange(rows) + 0.5) / rows * (high - low)
    places = projection.unproject(np.stack(np.meshgrid(x, y), axis=-1))
    column = np.floor((places[..., 0] + region.width / 2) / region.width * image.shape[1])
    row = np.floor((region.north - places[..., 1]) / (region.north - region.south) * image.shape[0])
    inside = (column >= 0) & (column < image.shape[1]) & (row >= 0) & (row < image.shape[0])  # False for NaN
    painted = np.zeros((rows, columns, 4))
    painted[inside, :3] = image[row[inside].astype(int), column[inside].astype(int)]
    painted[inside, 3] = 1.0
    return painted


def _rim(region: Region) -> Array:
    """The edge of a region, closed, with a point at least every degree: longitudes from the middle meridian."""
    west, south, east, north = box(region)
    corners = np.array([[west, south], [east, south], [east, north], [west, north], [west, south]])
    return _dense(corners)


def _edges(region: Region, projection: Projection) -> list[Array]:
    """The sides of the frame; meridians of a whole turn are none, and a pole has no length."""
    west, south, east, north = box(region)
    sides = [np.array([[west, side], [east, side]]) for side in (south, north)]
    if region.width < 360 or "Equal Earth" in projection.name:
        sides += [np.array([[side, south], [side, north]]) for side in (west, east)]
    return [projection.project(_dense(side)) for side in sides]


def _dense(line: Array) -> Array:
    """A line with a point at least every degree: straight in degrees is bent on the map."""
    return np.asarray(shapely.segmentize(shapely.linestrings(line), 1.0).coords)


def _graticule(axes: Axes, region: Region, projection: Projection) -> None:
    """Round meridians and parallels, with their degrees at the southern and the western edge."""
    west, south, east, north = box(region)
    centre = middle(region)
    whole = region.width == 360
    meridians, parallels = _round(centre + west, centre + east), _round(south, north)
    if whole:
        meridians = meridians[meridians < centre + east - 1e-9]
    outer = south if not whole or south + north > 0 else north  # of a cap, the parallel that is its rim
    lines = [np.array([[each - centre, south], [each - centre, north]]) for each in meridians]
    lines += [np.array([[west, each], [east, each]]) for each in parallels]
    axes.add_collection(
        LineCollection(
            [projection.project(_dense(line)) for line in lines], colors=GRATICULE, linewidths=0.3, zorder=2.5
        )
    )
    here = axes.get_xlim(), axes.get_ylim()
    away = 0.02 * max(np.ptp(here[0]), np.ptp(here[1]))
    cap = whole and region.width > WIDE and "pole" in projection.name
    for each in meridians:
        at = projection.project(np.array([each - centre, outer]))
        step = at / max(float(np.hypot(*at)), 1e-9) * away * 1.5 if cap else np.array([0.0, -away])
        axes.text(
            float((at + step)[0]),
            float((at + step)[1]),
            _degrees(each, "EW"),
            fontsize=6,
            ha="center",
            va="center" if cap else "top",
            clip_on=False,
        )
    for each in parallels if not cap else ():
        at = projection.project(np.array([west, each])) - (away / 2, 0.0)
        axes.text(float(at[0]), float(at[1]), _degrees(each, "NS"), fontsize=6, ha="right", va="center", clip_on=False)


def _round(low: float, high: float) -> Array:
    """A few round numbers between two."""
    values = np.asarray(MaxNLocator(6, steps=[1, 1.5, 2, 3, 5, 10]).tick_values(low, high))
    return values[(values >= low - 1e-9) & (values <= high + 1e-9)]


def _patch(axes: Axes, shape: object, projection: Projection | None = None, **style: object) -> None:
    """Draw the polygons of a shape."""
    polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    rings = [np.asarray(ring.coords) for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    if rings:
        placed = [ring if projection is None else projection.project(_dense(ring)) for ring in rings]
        outline = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in placed))
        axes.add_patch(PathPatch(outline, **{"zorder": 3, **style}))


def _degrees(angle: float, signs: str) -> str:
    turned = (angle + 180) % 360 - 180 if signs == "EW" else angle
    side = "" if turned in (0.0, -180.0) else f" {signs[bool(turned < 0)]}"
    return f"{round(abs(turned), 2):g}°{side}"


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
