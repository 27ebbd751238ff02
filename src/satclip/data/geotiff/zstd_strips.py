"""The GeoTIFFs that `scripts/write_shards.py` writes, decoded without GDAL: each band one strip of ZSTD.

GDAL takes as long to set a file up and to undo its differences as ZSTD takes to decompress it. Whatever is not of this
plain form goes to GDAL as before. TIFF revision 6.0 (Adobe, 1992) numbers the tags; 50000 for ZSTD is libtiff's.
"""

import struct
import sys
from dataclasses import dataclass
from threading import local
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satclip.optional_import import optional

Array = NDArray[np.generic]
WIDTH, HEIGHT, BITS, COMPRESSION, FILL_ORDER, OFFSETS, SAMPLES = 256, 257, 258, 259, 266, 273, 277
ROWS, SIZES, PLANAR, PREDICTOR, TILE_WIDTH, SAMPLE_FORMAT, ABOUT, NO_DATA = 278, 279, 284, 317, 322, 339, 42112, 42113
USED = {WIDTH, HEIGHT, BITS, COMPRESSION, FILL_ORDER, OFFSETS, SAMPLES}
USED |= {ROWS, SIZES, PLANAR, PREDICTOR, TILE_WIDTH, SAMPLE_FORMAT, ABOUT, NO_DATA}
ZSTD, BY_BAND, DIFFERENCES, UNSIGNED = 50000, 2, 2, 1
LARGEST = 1 << 15  # pixels down or across; what claims to be larger is no patch
_CODES = {1: "B", 3: "H", 4: "I", 16: "Q"}  # TIFF's kinds of whole numbers
_TEXT = 2
_THREAD = local()  # a decompressor serves one thread at a time


@dataclass(frozen=True)
class Strips:
    """Where the bands of a file lie.

    Attributes:
        shape: pixels down and across.
        dtype: uint8 or uint16.
        offsets, sizes: bytes from the start of the file, and of the compressed strip, of each band.
        differences: whether the rows hold differences.
        nothing: the nodata value.
    """

    shape: tuple[int, int]
    dtype: np.dtype[np.unsignedinteger]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    differences: bool
    nothing: float | None


def find_strips(data: bytes) -> Strips | None:
    """Read a file's directory; None if it has another form, or what decodes it is not installed.

    Nothing in a file is trusted: what does not fit goes to GDAL, which reports what is wrong.

    Raises:
        struct.error: it is cut short.
    """
    if _tools() is None or data[:4] != b"II*\x00" or sys.byteorder != "little":
        return None
    tags = _tags(data)
    if tags is None:
        return None

    def single(tag: int, default: int = 0) -> int:
        values = tags.get(tag, (default,))
        return int(values[0]) if len(values) == 1 else 0

    bits, offsets, sizes = set(tags.get(BITS, ())), tags.get(OFFSETS, ()), tags.get(SIZES, ())
    height, width, predictor = single(HEIGHT), single(WIDTH), single(PREDICTOR, 1)
    plain = (
        single(COMPRESSION) == ZSTD
        and single(PLANAR, 1) == BY_BAND
        and single(FILL_ORDER, 1) == 1
        and predictor in (1, DIFFERENCES)
        and TILE_WIDTH not in tags
        and bits in ({8}, {16})
        and set(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) == {UNSIGNED}
        and 0 < width <= LARGEST
        and 0 < height <= min(single(ROWS), LARGEST)
        and 0 < len(offsets) == len(sizes) == single(SAMPLES, 1)
        and all(sizes)  # a strip of no bytes is one that was never written
        and b"role=" not in b"".join(tags.get(ABOUT, ()))  # a scale and an offset of the file's own
    )
    text = b"".join(tags.get(NO_DATA, ())).rstrip(b"\x00 ")
    try:
        nothing = float(text) if text else None
    except ValueError:
        return None
    if not plain:
        return None
    dtype: type[np.unsignedinteger] = np.uint8 if bits == {8} else np.uint16
    return Strips((height, width), np.dtype(dtype), offsets, sizes, predictor == DIFFERENCES, nothing)


def read_strips(data: bytes, strips: Strips, read: tuple[int, ...], out: Array) -> None:
    """Decode the bands at positions `read` into `out`, [K, H, W].

    Raises:
        OSError: a strip is damaged, or not as long as it should be.
    """
    tools = _tools()
    assert tools is not None
    zstandard, kernels = tools
    view = memoryview(data)
    for position, target in zip(read, out, strict=True):
        offset, size = strips.offsets[position], strips.sizes[position]
        found = _decompress(zstandard, view[offset : offset + size], target.nbytes)
        if len(found) != target.nbytes:
            raise OSError(f"band {position + 1} holds {len(found)} bytes, not {target.nbytes}")
        pixels = np.ndarray(strips.shape, strips.dtype, found)
        if strips.differences:
            kernels.undo_differences(pixels, target)
        else:
            target[:] = pixels


def _tags(data: bytes) -> dict[int, tuple[Any, ...]] | None:
    """The values of the tags that are used here, out of the first directory; None if one is of another kind."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    found: dict[int, tuple[Any, ...]] = {}
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from("<HHI", data, entry)
        if tag not in USED or tag in found:
            continue
        text = tag in (ABOUT, NO_DATA)
        if (kind != _TEXT) if text else (kind not in _CODES):
            return None
        form = f"<{count}{'s' if text else _CODES[kind]}"
        place = entry + 8
        if struct.calcsize(form) > 4:
            (place,) = struct.unpack_from("<I", data, place)
        found[tag] = struct.unpack_from(form, data, place)
    (following,) = struct.unpack_from("<I", data, directory + 2 + 12 * entries)
    return None if following else found  # a mask, overviews, more pages


def _tools() -> tuple[ModuleType, ModuleType] | None:
    """What decompresses ZSTD and what undoes differences; None where `satclip[fast]` is not installed."""
    zstandard, kernels = optional("zstandard"), optional("satclip.data.geotiff.kernel")
    return None if zstandard is None or kernels is None else (zstandard, kernels)


def _decompress(zstandard: ModuleType, data: memoryview, expected: int) -> bytes:
    """The content of a frame, no longer than `expected`.

    Raises:
        OSError: it is damaged, or claims to be of another length.
    """
    if not hasattr(_THREAD, "zstd"):
        _THREAD.zstd = zstandard.ZstdDecompressor()
    try:
        # Where a frame says how long its content is, memory for that is taken, whatever was asked for.
        if (claimed := zstandard.frame_content_size(data)) not in (-1, expected):
            raise OSError(f"a band claims to be {claimed} bytes, not {expected}")
        found: bytes = _THREAD.zstd.decompress(data, max_output_size=expected)
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from None
    return found
