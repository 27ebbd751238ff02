"""What GDAL reads of one GeoTIFF, and what of it is a measurement: masks, alpha, nodata, scales and sizes."""

from collections.abc import Sequence
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags

Array = NDArray[np.generic]
DTYPES = ("uint8", "uint16", "int16", "float32")
MOST_BYTES = 1 << 30  # of a decoded patch: 256 x 256 pixels of 12 bands are 1.5 million


class BadPatchError(ValueError):
    """A patch that cannot be trained on.

    Attributes:
        cause: one of missing, unreadable, bands, dtype, size, scaled, empty.
    """

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.cause = cause


def check_claims(bands: int, dtype: np.dtype[Any] | str, shape: tuple[int, int]) -> None:
    """Refuse what a file says of itself before memory is taken for it.

    Raises:
        BadPatchError: a type that is not trained on, or more pixels than a patch can have.
    """
    if str(dtype) not in DTYPES:
        wide = "Int16" if str(dtype) == "int8" else "Float32"
        raise BadPatchError(
            "dtype",
            f"values are {dtype}, not {', '.join(DTYPES[:-1])} or {DTYPES[-1]}; "
            f"`gdal_translate -ot {wide} OLD NEW` converts them",
        )
    needed = bands * shape[0] * shape[1] * np.dtype(dtype).itemsize
    if needed > MOST_BYTES:
        raise BadPatchError(
            "size",
            f"{shape[0]} x {shape[1]} pixels of {bands} bands take {needed / 2**30:.0f} GiB decoded, a patch at most "
            f"{MOST_BYTES / 2**30:.0f}; cut it with gdal_retile.py",
        )


def band_count(source: Any, bands: int) -> int:
    """How many bands of an open file are measurements: one that is alpha, beyond the `bands` expected, is none."""
    count = int(source.count)
    has_alpha = count == bands + 1 and source.colorinterp[-1] == ColorInterp.alpha
    return bands if has_alpha else count


def check_scales(source: Any, bands: int) -> None:
    """Refuse a file whose numbers mean others by its own scale and offset.

    Raises:
        BadPatchError: it has a scale other than 1 or an offset other than 0.
    """
    scales, offsets = source.scales[:bands], source.offsets[:bands]
    if any(scale != 1 for scale in scales) or any(offset != 0 for offset in offsets):
        raise BadPatchError(
            "scaled",
            f"its tags scale the values by {scales[0]:g} and add {offsets[0]:g}; `gdal_translate -unscale -ot Float32 "
            "OLD NEW` applies them (then dataset.scale=1), `gdal_edit.py -scale 1 -offset 0 FILE` drops them",
        )


def read_pixels(source: Any, bands: int, read: Sequence[int], out: Array | None = None) -> Array:
    """The bands at positions `read` of an open file, [K, H, W]; 0 where its mask or alpha marks nodata.

    `bands` is how many measurements it holds, see `band_count`.
    """
    pixels: Array = source.read([position + 1 for position in read], out=out)
    masked = None
    if source.count > bands:
        masked = source.read(source.count) == 0
    elif source.mask_flag_enums[0] == [MaskFlags.per_dataset]:
        masked = source.read_masks(1) == 0
    if masked is not None and masked.any():
        pixels[:, masked] = 0
    return pixels


def clear_invalid(pixels: Array, nodata: float | None) -> None:
    """Set to 0, in place, what is nodata, NaN or infinite: 0 is what Sentinel-2 means by nodata."""
    if pixels.dtype.kind == "f":
        invalid = ~np.isfinite(pixels)
        if nodata is not None and not isnan(nodata):
            invalid |= pixels == pixels.dtype.type(nodata)
        if invalid.any():
            pixels[invalid] = 0
    elif nodata is not None and nodata != 0 and nodata == int(nodata if np.isfinite(nodata) else 0):
        limits = np.iinfo(str(pixels.dtype))
        if limits.min <= nodata <= limits.max:
            pixels[pixels == int(nodata)] = 0


def fitted(pixels: Array, out: Array) -> Array:
    """The middle of [K, H, W] as far as it fits, put into the upper left of `out` [K, h, w]; that part of `out`."""
    height, width = (min(have, room) for have, room in zip(pixels.shape[1:], out.shape[1:], strict=True))
    top, left = (pixels.shape[1] - height) // 2, (pixels.shape[2] - width) // 2
    out[...] = 0
    out[:, :height, :width] = pixels[:, top : top + height, left : left + width]
    return out[:, :height, :width]
