"""Figures of location encoders, of the whole world or a region, one panel for each encoder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from satclip.embedding import embed
from satclip.geography.land_grid import LandGrid, land_grid
from satclip.likeness import most_alike, similarity
from satclip.plots.colours import decomposed, natural_colours
from satclip.plots.projection import HALF_HEIGHT, HALF_WIDTH
from satclip.plots.region_grid import RegionGrid, region_grid
from satclip.plots.regional import draw, positions, shape_of
from satclip.plots.world import DPI, PIXELS, draw_world, map_positions
from satclip.region import Region
from satclip.sphere import check_lonlat

Array = NDArray[np.float64]
Encoders = nn.Module | Mapping[str, nn.Module]
SHADES = "magma_r"  # what is unlike stays pale
_SIZE = PIXELS / DPI  # inches
_TITLE, _FOOT, _SIDE = 0.3, 0.75, 0.4  # inches


@dataclass(frozen=True)
class Look:
    """How a figure is drawn, whatever it shows.

    Attributes:
        degrees: spacing of the places that are embedded.
        region: draw that alone; None for the whole world.
        land: leave the sea blank.
        points: places of one's own on top, degrees [N, 2].
        title: above all panels.
        size: width of a panel in inches.
        dpi: pixels an inch.
    """

    degrees: float = 0.5
    region: Region | None = None
    land: bool = True
    points: Tensor | None = None
    title: str | None = None
    size: float = _SIZE
    dpi: int = DPI

    @property
    def grid(self) -> "LandGrid | RegionGrid":
        """The cells to embed."""
        if self.region is None:
            return land_grid(self.degrees, sea=not self.land)
        return region_grid(self.region, self.degrees, land=self.land)


def map_figure(encoders: Encoders, look: Look | None = None) -> Figure:
    """The first three principal components of each embedding as colours, and what share of its variance they explain.

    Where harmonics pass by an encoder's network (`skip_degrees`), it shows what the network gives: the others are a
    formula, the same in all encoders, and would paint the continents by where they lie. Components are weighted by
    area and equalised, so that neighbouring biomes differ in colour; the share is that of the plain components.

    Args:
        encoders: degrees [N, 2] -> [N, D], D at least 3; several by name become panels.
        look: region, points, size.

    Raises:
        ValueError: fewer than three dimensions, or an embedding that is not finite.
    """
    look = Look() if look is None else look
    grid = look.grid
    figure, panels = _panels(encoders, look)
    for axes, encoder in panels:
        components, explained = decomposed(learned_part(encoder, embed(encoder, grid.lonlat)), grid.weights)
        colours = natural_colours(components, grid.lonlat, grid.weights)
        _paint(axes, grid, colours.numpy(), look)
        shares = ", ".join(f"{100 * each:.0f}" for each in explained.tolist())
        _foot(axes, (f"colours: {100 * float(explained.sum()):.0f} %", "of the variance", f"({shares})"), look)
    return figure


def similarity_figure(
    encoders: Encoders,
    longitude: float,
    latitude: float,
    look: Look | None = None,
    *,
    vmin: float | None = None,
    vmax: float | None = None,
    top: int = 0,
    apart_km: float = 0.0,
) -> Figure:
    """The cosine similarity of each place to one, which a star marks.

    Args:
        encoders: degrees [N, 2] -> [N, D]; several by name become panels.
        longitude: of the place, degrees.
        latitude: of the place, degrees.
        look: region, points, size.
        vmin: similarity of the palest colour; by default the lowest hundredth of the places.
        vmax: similarity of the darkest; by default 1.
        top: so many of the places most like it are numbered on the map.
        apart_km: those lie so far from the place and from each other.

    Raises:
        ValueError: the place is none, or `vmin` is not below `vmax`.
    """
    look = Look() if look is None else look
    place = torch.tensor([[longitude, latitude]], dtype=torch.float64)
    check_lonlat(place)
    grid = look.grid
    figure, panels = _panels(encoders, look)
    for axes, encoder in panels:
        found = similarity(encoder, place, grid.lonlat)
        alike = found.numpy()
        low = float(np.quantile(alike, 0.01)) if vmin is None else vmin
        high = 1.0 if vmax is None else vmax
        if not low < high:
            raise ValueError(f"the scale must rise, got {low:g} to {high:g}; give vmin below vmax")
        scale, shades = Normalize(low, high), colormaps[SHADES]
        _paint(axes, grid, shades(scale(alike))[:, :3], look)
        axes.plot(*_positions(place, look).T, "*", markersize=13, color="white", markeredgecolor="black", zorder=6)
        best = most_alike(found, grid.lonlat, place, top, apart_km=apart_km)
        for number, spot in enumerate(_positions(grid.lonlat[best], look), 1):
            axes.plot(*spot, "o", markersize=7, color="white", markeredgecolor="black", markeredgewidth=0.6, zorder=7)
            axes.text(float(spot[0]), float(spot[1]), str(number), fontsize=4.5, ha="center", va="center", zorder=8)
        _colour_bar(axes, ScalarMappable(scale, shades), f"cosine similarity to\n{name(longitude, latitude)}", look)
    return figure


def name(longitude: float, latitude: float) -> str:
    """A place as atlases write it: `48.8° N, 2.3° E`."""
    turned = (longitude + 180) % 360 - 180
    return f"{abs(latitude):g}° {'S' if latitude < 0 else 'N'}, {abs(turned):g}° {'W' if turned < 0 else 'E'}"


def learned_part(encoder: nn.Module, embeddings: Tensor) -> Tensor:
    """Of embeddings [N, D], what the encoder's network gives; all of it where that is less than a colour needs."""
    learned = getattr(encoder, "learned_dim", 0)
    return embeddings[:, :learned] if learned >= 3 else embeddings


def _panels(encoders: Encoders, look: Look) -> tuple[Figure, list[tuple[Axes, nn.Module]]]:
    """An empty figure with a panel of `look.size` inches for each encoder, and those below their names."""
    named = {"": encoders} if isinstance(encoders, nn.Module) else encoders
    shape = HALF_HEIGHT / HALF_WIDTH if look.region is None else shape_of(look.region)
    around = 0.0 if look.region is None else _SIDE
    columns = min(len(named), 2 if shape < 0.8 else 3)
    rows = -(-len(named) // columns)
    over = _TITLE if any(named) else 0.0
    foot = 0.0 if look.region is None else _FOOT
    tall = (look.size - 1.5 * around) * shape + over + foot
    title = _TITLE if look.title else 0.0
    width, height = columns * look.size, rows * tall + title
    figure = Figure((width, height), dpi=look.dpi, facecolor="none" if look.region is None else "white")
    if look.title:
        figure.text(0.5, 1 - title / 2 / height, look.title, ha="center", va="center", fontsize=11)
    panels = []
    for number, (label, encoder) in enumerate(named.items()):
        row, column = divmod(number, columns)
        left, base = column * look.size + around, height - title - (row + 1) * tall + foot
        axes = figure.add_axes(
            (left / width, base / height, (look.size - 1.5 * around) / width, (tall - over - foot) / height)
        )
        if label:
            axes.set_title(label, fontsize=9)
        panels.append((axes, encoder))
    return figure, panels


def _paint(axes: Axes, grid: "LandGrid | RegionGrid", colours: Array, look: Look) -> None:
    """The map with its colours [N, 3], and one's own points on it."""
    if isinstance(grid, LandGrid):
        draw_world(axes, grid.image(colours), land=look.land)
    else:
        draw(axes, grid, grid.image(colours))
    if look.points is not None and len(look.points):
        inside = look.points if look.region is None else look.points[look.region.contains(look.points)]
        size = float(np.clip(3000 / max(1, len(inside)), 2.0, 16))
        x, y = _positions(inside, look).T
        axes.scatter(x, y, s=size, c="white", edgecolors="black", linewidths=0.4, zorder=5, rasterized=True)


def _positions(lonlat: Tensor, look: Look) -> Array:
    degrees = lonlat.numpy()
    return map_positions(degrees) if look.region is None else positions(degrees, look.region)


def _foot(axes: Axes, words: tuple[str, ...], look: Look) -> None:
    """A line in the lower left, where neither map has anything."""
    if look.region is None:
        axes.text(0.01, 0.01, "\n".join(words), transform=axes.transAxes, fontsize=6)
    else:
        axes.text(0.0, _below(axes, 0.3), " ".join(words), transform=axes.transAxes, fontsize=6, va="top")


def _below(axes: Axes, inches: float) -> float:
    """So far below the axes, in units of their height."""
    return -inches / (axes.get_position().height * cast(Figure, axes.figure).get_figheight())


def _colour_bar(axes: Axes, shades: ScalarMappable, words: str, look: Look) -> None:
    where = (0.14, 0.27, 0.12, 0.016)
    if look.region is not None:
        where = (0.0, _below(axes, 0.35), 0.3, -_below(axes, 0.05))
    bar = axes.figure.colorbar(shades, cax=axes.inset_axes(where), orientation="horizontal")
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=6, width=0.4, length=2)
    bar.set_label(words, fontsize=6)


def several(names: Sequence[str], encoders: Sequence[nn.Module]) -> Encoders:
    """What a figure takes: one alone without its name, several under theirs, told apart where they are the same."""
    if len(encoders) == 1:
        return encoders[0]
    told = [each if names.count(each) == 1 else f"{each} ({number})" for number, each in enumerate(names, 1)]
    return dict(zip(told, encoders, strict=True))
