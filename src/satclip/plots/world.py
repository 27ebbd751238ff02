"""Draw the world: land painted with a picture, sea, graticule, coasts."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from numpy.typing import NDArray

from satclip.geography.countries import land
from satclip.geography.land_grid import interpolate
from satclip.plots.projection import HALF_HEIGHT, HALF_WIDTH, project, unproject

Array = NDArray[np.float64]

CENTRAL_MERIDIAN = 11.0  # the map ends in the Bering Strait and cuts no continent but Antarctica
PIXELS = 1600  # width of the saved picture, sharp on a screen of double resolution
LEVELS = 85  # per colour channel: no step is seen, and the file is a fifth smaller than with 255
SEA, GRATICULE, COAST, RIM = "#e9eef2", "#c6d0d8", "#24303a", "#9aa7b1"
DPI = 200
_MARGIN = 1.01


def world(image: Array) -> tuple[Figure, Axes]:
    """A map of the world in Equal Earth, the land painted with `image` (whole-world grid, RGB, [rows, 2 rows, 3])."""
    width = PIXELS / DPI
    figure = Figure((width, width * HALF_HEIGHT / HALF_WIDTH), dpi=DPI, facecolor="none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    draw_world(axes, image)
    return figure, axes


def draw_world(axes: Axes, image: Array, *, land: bool = True) -> None:
    """The map of `world` on empty axes; without `land` the sea is painted as well."""
    coast = frame(axes)
    paint = axes.imshow(
        _painted(image),
        extent=(-HALF_WIDTH, HALF_WIDTH, -HALF_HEIGHT, HALF_HEIGHT),
        interpolation="nearest",
        aspect="auto",
        zorder=2,
    )
    if land:
        paint.set_clip_path(coast, axes.transData)
    axes.set_aspect("equal")


def frame(axes: Axes) -> Outline:
    """The empty map: sea, graticule, coasts and rim, for points on top. Returns the coasts, to clip by."""
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-HALF_WIDTH * _MARGIN, HALF_WIDTH * _MARGIN)
    axes.set_ylim(-HALF_HEIGHT * _MARGIN, HALF_HEIGHT * _MARGIN)
    rim, coast = Outline(_rim(), closed=True), _coast()
    axes.add_patch(PathPatch(rim, facecolor=SEA, edgecolor="none", zorder=0))
    axes.add_collection(LineCollection(_graticule(), colors=GRATICULE, linewidths=0.35, zorder=1))
    shore = axes.add_patch(PathPatch(coast, facecolor="none", edgecolor=COAST, linewidth=0.4, zorder=3))
    shore.set_clip_path(rim, axes.transData)
    axes.add_patch(PathPatch(rim, facecolor="none", edgecolor=RIM, linewidth=0.9, zorder=4))
    return coast


def map_positions(lonlat: Array) -> Array:
    """Where places in degrees lie on the axes of `world`: [N, 2] -> [N, 2]."""
    turned = (lonlat[:, 0] - CENTRAL_MERIDIAN + 180) % 360 - 180
    return project(np.stack((turned, lonlat[:, 1]), 1))


def map_position(longitude: float, latitude: float) -> tuple[float, float]:
    """Where a place in degrees lies on the axes of `world`."""
    from_centre = (longitude - CENTRAL_MERIDIAN + 180) % 360 - 180
    x, y = project(np.array([from_centre, latitude]))
    return float(x), float(y)


def save(figure: Figure, path: Path) -> Path:
    """Write the figure, whole or not at all; the ending of the name chooses the format. Returns `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".part-{path.name}")
    try:
        smaller: dict[str, Any] = {"pil_kwargs": {"optimize": True}} if path.suffix == ".png" else {}
        figure.savefig(part, **smaller)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _painted(image: Array) -> Array:
    """`image` as the map shows it, RGBA, transparent outside the outline."""
    height = round(PIXELS * HALF_HEIGHT / HALF_WIDTH)
    x = HALF_WIDTH * ((np.arange(PIXELS) + 0.5) / PIXELS * 2 - 1)
    y = HALF_HEIGHT * (1 - (np.arange(height) + 0.5) / height * 2)
    places = unproject(np.stack(np.meshgrid(x, y), axis=-1))
    inside = ~np.isnan(places[..., 0])
    painted = np.zeros((height, PIXELS, 4))
    colours = interpolate(image, places[inside] + [CENTRAL_MERIDIAN, 0.0])
    painted[inside, :3] = np.round(colours * LEVELS) / LEVELS
    painted[inside, 3] = 1.0
    return painted


@lru_cache(maxsize=1)
def _coast() -> Outline:
    """All coasts as one path on the map. Long straight edges are cut at every degree, for they bend there."""
    shapes = shapely.segmentize(land(CENTRAL_MERIDIAN), 1.0)
    rings = [ring for polygon in shapes.geoms for ring in (polygon.exterior, *polygon.interiors)]
    return Outline.make_compound_path(*(Outline(project(np.asarray(ring.coords)), closed=True) for ring in rings))


def _rim() -> Array:
    """The outline of the map, closed."""
    latitude = np.linspace(-90, 90, 181)
    east, west = _line(180.0, latitude), _line(-180.0, latitude[::-1])
    return np.concatenate((east, west, east[:1]))


def _graticule() -> list[Array]:
    """Meridians and parallels every 30 degrees."""
    latitude, longitude = np.linspace(-90, 90, 181), np.linspace(-180, 180, 361)
    meridians = [_line(degree - CENTRAL_MERIDIAN, latitude) for degree in range(-150, 181, 30)]
    return meridians + [_line(longitude, degree) for degree in range(-60, 90, 30)]


def _line(longitude: Array | float, latitude: Array | float) -> Array:
    """Points of a line of the map; longitudes from the central meridian."""
    return project(np.stack(np.broadcast_arrays(longitude, latitude), axis=-1).astype(np.float64))
