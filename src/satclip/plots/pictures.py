"""Two pictures of a location encoder: what it tells apart over the whole world, and what it finds like one place."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from torch import Tensor, nn

from satclip.embedding import embed
from satclip.geography.land_grid import land_grid
from satclip.plots.colours import natural_colours, principal_components
from satclip.plots.regional import RegionGrid, region_grid, regional
from satclip.plots.world import map_position, save, world
from satclip.region import Region
from satclip.sphere import check_lonlat


def globe_picture(encoder: nn.Module, path: Path | str, *, degrees: float = 0.5, region: Region | None = None) -> Path:
    """Colour the land by the first three principal components of its embedding. Returns `path`.

    Where harmonics pass by the encoder's network (`skip_degrees`), the picture shows what the network gives: the others
    are a formula, the same in all encoders, and would paint the continents by where they lie.

    Components are weighted by area and equalised, so that neighbouring biomes differ in colour. The ending of `path`
    chooses the format.

    Args:
        encoder: degrees [N, 2] -> [N, D], D at least 3.
        path: where the picture goes.
        degrees: spacing of the places that are embedded.
        region: draw that alone, in colours of its own; None for the whole world.

    Raises:
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    if region is not None:
        return _region_picture(encoder, Path(path), region_grid(region, degrees))
    grid = land_grid(degrees)
    components = principal_components(learned_part(encoder, embed(encoder, grid.lonlat)), grid.weights)
    colours = natural_colours(components, grid.lonlat, grid.weights)
    figure, _ = world(grid.image(colours.numpy()))
    return save(figure, Path(path))


def _region_picture(encoder: nn.Module, path: Path, grid: RegionGrid) -> Path:
    components = principal_components(learned_part(encoder, embed(encoder, grid.lonlat)), grid.weights)
    figure, _ = regional(grid, grid.image(natural_colours(components, grid.lonlat, grid.weights).numpy()))
    return save(figure, path)


def learned_part(encoder: nn.Module, embeddings: Tensor) -> Tensor:
    """Of embeddings [N, D], what the encoder's network gives; all of it where that is less than a colour needs."""
    learned = getattr(encoder, "learned_dim", 0)
    return embeddings[:, :learned] if learned >= 3 else embeddings


def similarity_map(
    encoder: nn.Module, longitude: float, latitude: float, path: Path | str, *, degrees: float = 0.5
) -> Path:
    """Colour the land by its cosine similarity to one place, which a star marks. Returns `path`.

    Raises:
        ValueError: when the place is none.
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    place = torch.tensor([[longitude, latitude]], dtype=torch.float64)
    check_lonlat(place)
    grid = land_grid(degrees)
    similarity = F.cosine_similarity(embed(encoder, grid.lonlat).double(), embed(encoder, place).double()).numpy()
    scale = Normalize(float(np.quantile(similarity, 0.01)), 1.0)
    shades = colormaps["magma_r"]  # what is unlike stays pale
    figure, axes = world(grid.image(shades(scale(similarity))[:, :3]))
    axes.plot(*map_position(longitude, latitude), "*", markersize=13, color="white", markeredgecolor="black", zorder=5)
    bar = figure.colorbar(
        ScalarMappable(scale, shades), cax=figure.add_axes((0.14, 0.27, 0.12, 0.016)), orientation="horizontal"
    )
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=6, width=0.4, length=2)
    bar.set_label(f"cosine similarity to\n{_name(longitude, latitude)}", fontsize=6)
    return save(figure, Path(path))


def _name(longitude: float, latitude: float) -> str:
    """A place as atlases write it: `48.8° N, 2.3° E`."""
    turned = (longitude + 180) % 360 - 180
    return f"{abs(latitude):g}° {'S' if latitude < 0 else 'N'}, {abs(turned):g}° {'W' if turned < 0 else 'E'}"
