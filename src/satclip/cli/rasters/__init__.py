"""Grids of embeddings, written block by block: GeoTIFF, npy, zarr."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import DTypeLike

from satclip.cli.rasters.cells import Cells
from satclip.cli.rasters.writers import GeoTiff, NpyGrid, RasterWriter, ZarrGrid


def open_raster(
    target: Path,
    part: Path,
    cells: Cells,
    *,
    width: int,
    dtype: DTypeLike,
    tags: dict[str, str],
    bands: Sequence[str] | None = None,
) -> RasterWriter:
    """A writer of the kind that `target` is named for, into `part`.

    `width` is the dimension of the embedding; `bands` names those of a GeoTIFF, by default e0, e1 ...

    Raises:
        click.ClickException: the format cannot hold `dtype`, or its extra is not installed.
    """
    if target.suffix == ".npy":
        return NpyGrid(part, cells, width, dtype)
    if target.suffix == ".zarr":
        return ZarrGrid(part, cells, width, dtype, tags)
    if np.dtype(dtype) == np.float16:
        raise click.BadParameter("GeoTIFF has no float16: take float32, or write .npy or .zarr", param_hint="--dtype")
    return GeoTiff(part, cells, width, dtype, tags, bands)
