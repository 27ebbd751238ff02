"""Grids of embeddings, written block by block: GeoTIFF, npy, zarr."""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import DTypeLike, NDArray

from satclip.cli.rasters.cells import Cells
from satclip.cli.rasters.geotiff import GeoTiff
from satclip.cli.rasters.writers import NpyGrid, RasterWriter, ZarrGrid

_COMPRESSION = 4  # embeddings shrink by a tenth or two; more than this is beyond hope


def check_room(target: Path, cells: Cells, *, width: int, dtype: DTypeLike) -> None:
    """Refuse a grid that cannot lie where it is to go, before memory is taken for as much as its axes.

    Raises:
        click.BadParameter: it is larger than the free space there, or four times that where the format compresses; says
            how large.
    """
    size = cells.height * cells.width * width * np.dtype(dtype).itemsize
    free = shutil.disk_usage(target.absolute().parent).free
    if size > free * (1 if target.suffix == ".npy" else _COMPRESSION):
        raise click.BadParameter(
            f"{cells.height:,} x {cells.width:,} cells of {width} numbers are {_bytes(size)}, and {target} has room "
            f"for {_bytes(free)}; take a larger cell, --bounds or --dtype float16",
            param_hint="--resolution",
        )


def _bytes(count: float) -> str:
    units = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
    step = min(int(math.log10(max(count, 1)) / 3), len(units) - 1)
    return f"{count / 1000**step:,.3g} {units[step]}"


def open_raster(
    target: Path,
    part: Path,
    cells: Cells,
    *,
    width: int,
    dtype: DTypeLike,
    tags: dict[str, str],
    bands: Sequence[str] | None = None,
    scales: NDArray[np.float64] | None = None,
) -> RasterWriter:
    """A writer of the kind that `target` is named for, into `part`.

    `width` is the dimension of the embedding; `bands` names those of a GeoTIFF, by default e0, e1 ..., and `scales`
    makes them int8.

    Raises:
        click.ClickException: the format cannot hold `dtype`, or its extra is not installed.
    """
    if target.suffix == ".npy":
        return NpyGrid(part, cells, width, dtype)
    if target.suffix == ".zarr":
        return ZarrGrid(part, cells, width, dtype, tags)
    if np.dtype(dtype) == np.float16:
        raise click.BadParameter("GeoTIFF has no float16: take float32, or write .npy or .zarr", param_hint="--dtype")
    return GeoTiff(part, cells, width, dtype, tags, bands, scales)
