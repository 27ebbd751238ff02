"""One patch, from the bytes of its GeoTIFF to an array."""

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from satclip.data.geotiff.pixels import (
    Array,
    BadPatchError,
    band_count,
    check_claims,
    check_scales,
    clear_invalid,
    fitted,
    read_pixels,
)
from satclip.data.geotiff.zstd_strips import find_strips, read_strips

GEO_KEYS, HIDDEN = 34735, 34734  # the tag of the coordinate system, and a free number beside it
# S2-100K's own loader leaves out files under 10 kB: those that are nearly all nodata.
LEAST_HELD = 0.05
_IN_MEMORY = re.compile(r"'?(/vsimem/)?[-0-9a-f/]{36,}(\.tif)?'?[,:]? *")


@contextmanager
def decoding() -> Iterator[None]:
    """GDAL set up for many small files in memory; enter it once per batch, not per patch."""
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1"):
        yield


def decode(
    data: bytes,
    *,
    bands: int,
    read: Sequence[int] | None = None,
    size: tuple[int, int] | None = None,
    out: Array | None = None,
    least: int | None = None,
) -> Array:
    """The pixels of a GeoTIFF, [bands, H, W], of one of `DTYPES`; 0 for nodata.

    Args:
        data: the file.
        bands: how many it must hold, beside an alpha band.
        read: positions of those that are wanted; None for all.
        size: pixels down and across that it must have; None for any, or those of `out`.
        out: takes the pixels.
        least: other sizes than that of `out` will do if both sides have so many pixels: the middle of what is larger is
            taken, and what is smaller fills the upper left. What comes back is the part of `out` that was filled.

    Raises:
        BadPatchError: it cannot be read, has another number of bands, another type or size, a scale of its own, or
            holds next to nothing but zeros or nodata.
    """
    if not data:
        raise BadPatchError("missing", "the patch is missing or of no bytes")
    wanted = tuple(range(bands)) if read is None else tuple(read)
    room = None if out is None else (out.shape[1], out.shape[2])
    if size is None and least is None:
        size = room

    def check(count: int, dtype: np.dtype[Any], shape: tuple[int, int]) -> Array | None:
        """`out` where the pixels fill it."""
        if count != bands:
            raise BadPatchError("bands", f"{count} bands, not {bands}")
        check_claims(bands, dtype, shape)
        if size is not None and shape != size:
            raise BadPatchError("size", f"{shape[0]} x {shape[1]} pixels, not {size[0]} x {size[1]}")
        if least is not None and min(shape) < least:
            raise BadPatchError("size", f"{shape[0]} x {shape[1]} pixels, fewer than dataset.image_size={least}")
        if out is not None and out.dtype != dtype:
            raise BadPatchError("dtype", f"values are {dtype}, not {out.dtype}")
        return out if shape == room else None

    try:
        if (strips := find_strips(data)) is not None and len(strips.offsets) == bands:
            fills = check(bands, strips.dtype, strips.shape)
            pixels = np.empty((len(wanted), *strips.shape), strips.dtype) if fills is None else fills
            read_strips(data, strips, wanted, pixels)
            nodata = strips.nothing
        else:
            with MemoryFile(_without_place(data)) as file, file.open(driver="GTiff", sharing=False) as source:
                fills = check(band_count(source, bands), np.dtype(source.dtypes[0]), source.shape)
                check_scales(source, bands)
                pixels, nodata = read_pixels(source, bands, wanted, fills), source.nodata
    except (RasterioError, OSError, MemoryError, struct.error) as error:
        raise BadPatchError("unreadable", plainly(error)) from None
    clear_invalid(pixels, nodata)
    held = share_held(pixels, None, across=8)
    if held < 0.5:  # rare, and worth a closer look
        held = share_held(pixels, None)
    if held < LEAST_HELD:
        raise BadPatchError("empty", f"{1 - held:.0%} of the pixels are zero or nodata")
    return pixels if out is None or fills is not None else fitted(pixels, out)


def plainly(error: Exception) -> str:
    """What GDAL says of a file in memory, without the name that it has there; the cause where it names one."""
    return _IN_MEMORY.sub("", str(error.__cause__ or error))


def share_held(pixels: Array, nothing: float | None, across: int = 32) -> float:
    """The share of pixels that are not zero (nor nodata) in every band, of some `across` x `across` spread evenly."""
    step = max(1, min(pixels.shape[1:]) // across)
    held: NDArray[np.bool_] | None = None
    for band in pixels[::-1]:  # the last one read still lies in the processor's cache, and is mostly enough
        sample = band[::step, ::step]
        here = (sample != 0) if nothing is None else (sample != 0) & (sample != nothing)
        held = here if held is None else held | here
        if (share := np.count_nonzero(held) / held.size) == 1:
            break
    return share


def _without_place(data: bytes) -> bytes:
    """The same file with its coordinate system put out of sight.

    GDAL works out the coordinate system of every file that it opens: 0.8 ms, five times what a small patch takes to
    decode and a fifth of a large one. Nothing here asks for it.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or struct.unpack_from(f"{order}H", data, 2)[0] != 42:  # a BigTIFF, or no TIFF at all
        return data
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (entries,) = struct.unpack_from(f"{order}H", data, directory)
    for position in range(directory + 2, directory + 2 + 12 * entries, 12):
        if struct.unpack_from(f"{order}H", data, position)[0] == GEO_KEYS:
            return b"".join((data[:position], struct.pack(f"{order}H", HIDDEN), data[position + 2 :]))
    return data
