"""Rasters of embeddings, one block at a time, in the blocks that their format likes."""

import shutil
import time
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from satclip.cli.failures import need
from satclip.cli.npy import NpyFile
from satclip.cli.rasters.cells import Cells
from satclip.cli.signals import held

_BLOCK_BYTES = 1 << 27
TILE = 128  # cells on each side of what GeoTIFF and zarr compress together


class RasterWriter(Protocol):
    """Takes blocks [rows, columns, D] of `block` (rows, columns), less at the south and east: one strip of columns from
    north to south, then the next.
    """

    block: tuple[int, int]

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write one block where it belongs."""
        ...


class NpyGrid:
    """An array [height, width, D], north first, west first. It carries no coordinates."""

    def __init__(self, part: Path, cells: Cells, width: int, dtype: DTypeLike) -> None:
        self.block = (max(1, _BLOCK_BYTES // (cells.width * width * np.dtype(dtype).itemsize)), cells.width)
        self._file = NpyFile(part, (cells.height, cells.width, width), dtype)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Append whole rows."""
        self._file.append(values)


class ZarrGrid:
    """A zarr group with `embedding` [lat, lon, band] and its coordinates, as `xarray.open_zarr` reads it."""

    def __init__(self, part: Path, cells: Cells, width: int, dtype: DTypeLike, tags: dict[str, str]) -> None:
        need("cli", "zarr")
        import zarr

        self.block, self._part = tiles(width, dtype), part
        with held():
            self._embedding = self._created(
                zarr.create_group(part, zarr_format=3, attributes={"crs": "EPSG:4326", **tags}), cells, width, dtype
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            _remove(self._part)

    @staticmethod
    def _created(group: Any, cells: Cells, width: int, dtype: DTypeLike) -> Any:
        """The empty array in a group, beside its axes."""
        for name, centres, long_name in (
            ("lat", cells.latitudes, "latitude"),
            ("lon", cells.longitudes, "longitude"),
        ):
            unit = {"standard_name": long_name, "units": "degrees_north" if name == "lat" else "degrees_east"}
            group.create_array(name, data=centres, dimension_names=[name], attributes=unit)
        return group.create_array(
            "embedding",
            shape=(cells.height, cells.width, width),
            dtype=np.dtype(dtype),
            chunks=(min(TILE, cells.height), min(TILE, cells.width), width),
            dimension_names=["lat", "lon", "band"],
        )

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write whole chunks with signals deferred: zarr's threads would keep writing after an interrupt."""
        with held():
            self._embedding[rows, columns] = values


def _remove(folder: Path, attempts: int = 100) -> None:
    """Remove a folder that threads may still be writing to; retry until it stays removed."""
    gone = 0
    while attempts and gone < 3:
        shutil.rmtree(folder, ignore_errors=True)
        gone = 0 if folder.exists() else gone + 1
        attempts -= 1
        time.sleep(0.02)


def tiles(width: int, dtype: DTypeLike) -> tuple[int, int]:
    """Rows and columns of a block: one tile high, as many wide as a block's memory holds."""
    return TILE, max(1, _BLOCK_BYTES // (TILE * TILE * width * np.dtype(dtype).itemsize)) * TILE
