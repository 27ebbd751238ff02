"""Rasters of embeddings as Cloud-Optimised GeoTIFF: tiled, with overviews, the directories before the data."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from satclip.cli.failures import need
from satclip.cli.rasters.cells import Cells
from satclip.cli.rasters.writers import TILE, tiles

INT8 = 127  # the largest number; -128 is nodata
_SMALLEST = 2 * TILE  # cells on the longer side of the coarsest overview


class GeoTiff:
    """In WGS 84, one band for each dimension, zstd-compressed; a BigTIFF where it grows large.

    The cells go to a file beside the target first: overviews are made of all of them, and lie before them in the end.
    Floats have NaN for nodata. With `scales` [D] bands are int8, -128 for nodata, and value times scale is the number:
    GDAL's scale of each band says so.
    """

    def __init__(
        self,
        part: Path,
        cells: Cells,
        width: int,
        dtype: DTypeLike,
        tags: dict[str, str],
        bands: Sequence[str] | None = None,
        scales: NDArray[np.float64] | None = None,
    ) -> None:
        need("cli", "rasterio")
        import rasterio

        kind = np.dtype(np.int8 if scales is not None else dtype)
        self.block, self._part, self._scales = tiles(width, dtype), part, scales
        self._cells = part.with_name(f"{part.name}.cells")
        self._layout: dict[str, Any] = {
            "tiled": True, "blockxsize": TILE, "blockysize": TILE, "interleave": "band", "compress": "zstd",
            "predictor": 2 if scales is not None else 3, "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS",
        }  # fmt: skip
        self._file = rasterio.open(
            self._cells,
            "w",
            driver="GTiff",
            height=cells.height,
            width=cells.width,
            count=width,
            dtype=kind.name,
            nodata=-INT8 - 1 if scales is not None else np.nan,
            crs="EPSG:4326",
            transform=rasterio.Affine(cells.resolution, 0, cells.west, 0, -cells.resolution, cells.north),
            **self._layout,
        )
        self._file.update_tags(**tags)
        for band, name in enumerate(bands or [f"e{band}" for band in range(width)], 1):
            self._file.set_band_description(band, name)
        if scales is not None:
            self._file.scales = scales.tolist()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._file.close()
            if error[0] is None:
                _read_back(self._cells)
                self._optimise()
                _read_back(self._part)
        finally:
            self._cells.unlink(missing_ok=True)

    def write(self, rows: slice, columns: slice, values: NDArray[Any]) -> None:
        """Write whole tiles."""
        from rasterio.windows import Window

        window = Window.from_slices(rows, columns)
        if self._scales is not None:
            values = quantised(values, self._scales)
        self._file.write(np.ascontiguousarray(np.moveaxis(values, -1, 0)), window=window)

    def _optimise(self) -> None:
        """Overviews by means of cells, then everything in the order in which it is read over a network."""
        import rasterio
        from rasterio._err import CPLE_BaseError
        from rasterio.enums import Resampling
        from rasterio.shutil import copy

        try:
            with (
                rasterio.Env(GDAL_TIFF_OVR_BLOCKSIZE=TILE, COMPRESS_OVERVIEW="ZSTD"),
                rasterio.open(self._cells, "r+") as file,
            ):
                longest, factors = max(file.shape), list[int]()
                while longest / 2 ** len(factors) > _SMALLEST:
                    factors.append(2 ** (len(factors) + 1))
                if factors:
                    file.build_overviews(factors, Resampling.average)
            copy(self._cells, self._part, driver="GTiff", COPY_SRC_OVERVIEWS="YES", **self._layout)
        except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
            raise OSError(f"overviews cannot be written ({error}): the disk may be full") from error


def quantised(values: NDArray[Any], scales: NDArray[np.float64]) -> NDArray[np.int8]:
    """Numbers as multiples of a scale, [..., D] -> int8 [..., D]; -128 for NaN. A band of zeros has scale 1."""
    steps = np.rint(values / scales).clip(-INT8, INT8)
    found: NDArray[np.int8] = np.where(np.isnan(values), -INT8 - 1, steps).astype(np.int8)
    return found


def _read_back(path: Path) -> None:
    """Read every tile back: GDAL reports no error where the disk fills up while it flushes the last ones.

    Raises:
        OSError: a tile is not whole.
    """
    import rasterio
    from rasterio._err import CPLE_BaseError  # what opening a file with a broken directory raises

    try:
        with rasterio.open(os.fspath(path)) as file:
            for _, window in file.block_windows(1):
                file.read(window=window)
    except (rasterio.errors.RasterioError, CPLE_BaseError) as error:
        raise OSError("what was written cannot be read back: the disk may be full") from error
