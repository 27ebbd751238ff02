"""The GeoTIFFs that `scripts/write_shards.py` writes, decoded without GDAL: each band one strip of ZSTD.

GDAL takes as long to set a file up and to undo its differences as ZSTD takes to decompress it. Whatever is not of this
plain form goes to GDAL as before. TIFF revision 6.0 (Adobe, 1992) numbers the tags; 50000 for ZSTD is libtiff's.
"""

import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
WIDTH, HEIGHT, BITS, COMPRESSION, OFFSETS, SAMPLES, ROWS, SIZES = 256, 257, 258, 259, 273, 277, 278, 279
PLANAR, PREDICTOR, TILE_WIDTH, SAMPLE_FORMAT, NO_DATA = 284, 317, 322, 339, 42113
ZSTD, BY_BAND, DIFFERENCES, UNSIGNED = 50000, 2, 2, 1
_CODES = {1: "B", 2: "c", 3: "H", 4: "I", 16: "Q"}  # the kinds of TIFF's numbers that are used here
_THREAD = local()  # a decompressor serves one thread at a time


@dataclass(frozen=True)
class Strips:
    """Where the bands of a file lie.

    Attributes:
        shape: pixels down and across.
        dtype: uint8 or uint16.
        offsets, sizes: bytes from the start of the file, and of the compressed strip, of each band.
        differences: whether the rows hold differences.
        nothing: the value that means no data.
    """

    shape: tuple[int, int]
    dtype: np.dtype[np.unsignedinteger]
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    differences: bool
    nothing: float | None


def find_strips(data: bytes) -> Strips | None:
    """Read a file's directory; None if it has another form, or what decodes it is not installed.

    Raises:
        struct.error: it is cut short.
    """
    if _tools() is None or data[:4] != b"II*\x00" or sys.byteorder != "little":
        return None
    tags = _tags(data)
    bits, count = set(tags.get(BITS, ())), tags.get(SAMPLES, (1,))[0]
    if (
        tags.get(COMPRESSION) != (ZSTD,)
        or TILE_WIDTH in tags
        or bits not in ({8}, {16})
        or set(tags.get(SAMPLE_FORMAT, (UNSIGNED,))) != {UNSIGNED}
        or tags.get(PLANAR, (1,)) != (BY_BAND,)
        or tags.get(PREDICTOR, (1,))[0] not in (1, DIFFERENCES)
        or any(len(tags.get(tag, ())) != 1 for tag in (WIDTH, HEIGHT, ROWS))
        or tags[ROWS][0] < tags[HEIGHT][0]
        or not len(tags.get(OFFSETS, ())) == len(tags.get(SIZES, ())) == count
    ):
        return None
    text = b"".join(tags.get(NO_DATA, ())).rstrip(b"\x00 ").decode("ascii", "replace")
    return Strips(
        shape=(tags[HEIGHT][0], tags[WIDTH][0]),
        dtype=np.dtype(np.uint8 if bits == {8} else np.uint16),
        offsets=tags[OFFSETS],
        sizes=tags[SIZES],
        differences=tags.get(PREDICTOR) == (DIFFERENCES,),
        nothing=float(text) if text else None,
    )


def read_strips(data: bytes, strips: Strips, read: tuple[int, ...], out: Array) -> None:
    """Decode the bands at positions `read` into `out`, [K, H, W].

    Raises:
        OSError: a strip is damaged, or not as long as it should be.
    """
    tools = _tools()
    assert tools is not None
    decompress, undo_differences = tools
    view = memoryview(data)
    for position, target in zip(read, out, strict=True):
        offset, size = strips.offsets[position], strips.sizes[position]
        flat = np.frombuffer(decompress(view[offset : offset + size], target.nbytes), strips.dtype)
        if flat.size != target.size:
            raise OSError(f"band {position + 1} holds {flat.size} pixels, not {target.size}")
        if strips.differences:
            undo_differences(flat.reshape(target.shape), target)
        else:
            target[:] = flat.reshape(target.shape)


def _tags(data: bytes) -> dict[int, tuple[Any, ...]]:
    """The tags of the first directory, those of the kinds that are used here."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, directory)
    found: dict[int, tuple[Any, ...]] = {}
    for entry in range(directory + 2, directory + 2 + 12 * entries, 12):
        tag, kind, count = struct.unpack_from("<HHI", data, entry)
        if kind in _CODES:
            form = f"<{count}{_CODES[kind]}"
            inside = struct.calcsize(form) <= 4
            found[tag] = struct.unpack_from(
                form, data, entry + 8 if inside else struct.unpack_from("<I", data, entry + 8)[0]
            )
    return found


@lru_cache(maxsize=1)
def _tools() -> tuple[Callable[[memoryview, int], bytes], Callable[[Array, Array], None]] | None:
    """Decompress ZSTD and undo differences, both compiled; None where `satclip[fast]` is not installed."""
    try:
        import zstandard

        from satclip.data.kernels import undo_differences
    except ImportError:
        return None

    def decompress(data: memoryview, most: int) -> bytes:
        if not hasattr(_THREAD, "zstd"):
            _THREAD.zstd = zstandard.ZstdDecompressor()
        try:
            found: bytes = _THREAD.zstd.decompress(data, max_output_size=most)
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from None
        return found

    return decompress, undo_differences
