"""Two pictures of a location encoder: what it tells apart over the whole world, and what it finds like one place."""

from pathlib import Path

from torch import nn

from satclip.plots.figures import Look, map_figure, similarity_figure
from satclip.plots.world import save
from satclip.region import Region


def globe_picture(encoder: nn.Module, path: Path | str, *, degrees: float = 0.5, region: Region | None = None) -> Path:
    """Colour the land by the first three principal components of its embedding: `map_figure` in a file. Returns `path`.

    Args:
        encoder: degrees [N, 2] -> [N, D], D at least 3.
        path: where the picture goes; its ending chooses the format.
        degrees: spacing of the places that are embedded.
        region: draw that alone, in colours of its own; None for the whole world.

    Raises:
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    title = None if region is None else str(region)
    return save(map_figure(encoder, Look(degrees, region=region, title=title)), Path(path))


def similarity_map(
    encoder: nn.Module,
    longitude: float,
    latitude: float,
    path: Path | str,
    *,
    degrees: float = 0.5,
    region: Region | None = None,
) -> Path:
    """Colour the land by its cosine similarity to one place: `similarity_figure` in a file. Returns `path`.

    Raises:
        ValueError: when the place is none.
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    return save(similarity_figure(encoder, longitude, latitude, Look(degrees, region=region)), Path(path))
