import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS

from satclip.data.geotiff import zstd_strips
from satclip.data.geotiff.decode import BadPatchError, decode, decoding
from satclip.data.geotiff.zstd_strips import BITS, HEIGHT, NO_DATA, PREDICTOR, SAMPLES, SIZES, WIDTH, find_strips

Encode = Callable[..., bytes]


def test_a_patch_comes_back_pixel_for_pixel(encode: Encode) -> None:
    pixels = np.random.default_rng(0).integers(0, 65535, (12, 20, 30), dtype=np.uint16)
    for options in (
        {},
        {"crs": CRS.from_epsg(32634)},
        {"compress": "zstd", "predictor": 2, "interleave": "band"},
        {"bigtiff": "yes"},
    ):
        with decoding():
            found = decode(encode(pixels, **options), bands=12)
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(found, pixels)


def test_a_big_endian_patch_comes_back_too(encode: Encode) -> None:
    pixels = np.arange(48, dtype=np.uint16).reshape(3, 4, 4)
    np.testing.assert_array_equal(decode(encode(pixels, endianness="big", crs=CRS.from_epsg(32634)), bands=3), pixels)


def test_real_sentinel_2_patches_come_back_as_rasterio_reads_them(s2_patches: Path) -> None:
    path = next((s2_patches / "images").glob("*.tif"))
    with rasterio.open(path) as source:
        expected = source.read()
    np.testing.assert_array_equal(decode(path.read_bytes(), bands=12, size=(256, 256)), expected)


def test_each_defect_has_its_cause(encode: Encode) -> None:
    good = np.ones((3, 8, 8), dtype=np.uint16)
    whole = encode(np.random.default_rng(0).integers(1, 9, (3, 64, 64), dtype=np.uint16), compress="lzw")
    cases = {
        "missing": b"",
        "unreadable": whole[: len(whole) // 2],
        "bands": encode(good[:2]),
        "dtype": encode(good.astype(np.float64)),
        "size": encode(good[:, :4]),
        "empty": encode(0 * good),
    }
    for cause, data in cases.items():
        with pytest.raises(BadPatchError) as caught:
            decode(data, bands=3, size=(64, 64) if cause == "unreadable" else (8, 8))
        assert caught.value.cause == cause, str(caught.value)
        assert "vsimem" not in str(caught.value)


@pytest.mark.parametrize(
    "junk", [b"II", b"II*\x00\xff\xff\xff\xff", b"not a picture at all", bytes(5000), b"MM\x00*" + bytes(20)]
)
def test_junk_is_unreadable_and_never_a_crash(junk: bytes) -> None:
    with pytest.raises(BadPatchError) as caught:
        decode(junk, bands=3)
    assert caught.value.cause == "unreadable"


def test_a_patch_of_nothing_but_no_data_is_empty(encode: Encode) -> None:
    with pytest.raises(BadPatchError, match="100% of the pixels are zero or nodata"):
        decode(encode(np.full((2, 4, 4), 255, np.uint8), nodata=255), bands=2)


def test_a_patch_is_empty_when_hardly_a_pixel_holds_anything(encode: Encode) -> None:
    for rows, empty in ((3, True), (30, False)):
        pixels = np.zeros((2, 256, 256), np.uint16)
        pixels[1, :rows] = 7
        if empty:
            with pytest.raises(BadPatchError, match="of the pixels are zero"):
                decode(encode(pixels), bands=2)
        else:
            assert decode(encode(pixels), bands=2).sum() == pixels.sum()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.7, 0.98])
def test_a_patch_cut_anywhere_is_unreadable(encode: Encode, share: float) -> None:
    data = encode(
        np.random.default_rng(0).integers(1, 9999, (4, 64, 64), dtype=np.uint16), compress="zstd", interleave="band"
    )
    with pytest.raises(BadPatchError, match=r"."):
        decode(data[: int(share * len(data))], bands=4)


SHARDS = {"compress": "zstd", "predictor": 2, "interleave": "band"}


@pytest.fixture
def without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd_strips, "_tools", lambda: None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bands", [1, 12])
@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("read", [None, (0,), (2, 0)])
def test_strips_come_back_as_gdal_reads_them(
    encode: Encode, dtype: type, bands: int, predictor: int, read: tuple[int, ...] | None
) -> None:
    pytest.importorskip("zstandard")
    pixels = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (bands, 64, 48)).astype(dtype)
    data = encode(pixels, **{**SHARDS, "predictor": predictor, "blockysize": 64, "crs": CRS.from_epsg(32634)})
    assert find_strips(data) is not None
    wanted = None if read is None or max(read) >= bands else read
    with decoding():
        found = decode(data, bands=bands, read=wanted)
    np.testing.assert_array_equal(found, pixels if wanted is None else pixels[list(wanted)])


def test_what_is_not_in_strips_goes_to_gdal(encode: Encode) -> None:
    pixels = np.random.default_rng(0).integers(0, 9999, (3, 64, 64), dtype=np.uint16)
    others: list[dict[str, object]] = [
        {"compress": "lzw"},
        {"compress": "zstd", "interleave": "pixel"},
        {**SHARDS, "blockysize": 16},
        {**SHARDS, "tiled": True, "blockxsize": 64, "blockysize": 64},
        {**SHARDS, "bigtiff": "yes"},
        {**SHARDS, "endianness": "big"},
    ]
    for options in others:
        data = encode(pixels, **options)
        assert find_strips(data) is None, options
        np.testing.assert_array_equal(decode(data, bands=3), pixels)


def test_without_the_fast_extra_gdal_reads_our_shards_too(encode: Encode, without_tools: None) -> None:
    pixels = np.random.default_rng(0).integers(0, 9999, (3, 64, 64), dtype=np.uint16)
    data = encode(pixels, **SHARDS, blockysize=64)
    assert find_strips(data) is None
    np.testing.assert_array_equal(decode(data, bands=3), pixels)


def test_no_data_of_strips_counts_as_nothing(encode: Encode) -> None:
    data = encode(np.full((3, 64, 64), 7, dtype=np.uint16), **SHARDS, blockysize=64, nodata=7)
    with pytest.raises(BadPatchError, match="nodata") as caught:
        decode(data, bands=3)
    assert caught.value.cause == "empty"


def test_damaged_strips_are_unreadable_and_never_a_crash(encode: Encode) -> None:
    pytest.importorskip("zstandard")
    pixels = np.random.default_rng(0).integers(0, 9999, (3, 64, 64), dtype=np.uint16)
    data = encode(pixels, **SHARDS, blockysize=64)
    random = np.random.default_rng(1)
    wrong = 0
    for cut in range(8, len(data), len(data) // 40):
        with pytest.raises(BadPatchError):
            decode(data[:cut], bands=3, size=(64, 64))
    for place in random.integers(8, len(data), 300):
        hurt = bytearray(data)
        hurt[place] ^= 0xFF
        try:
            decode(bytes(hurt), bands=3, size=(64, 64))
        except BadPatchError:
            wrong += 1
    assert wrong  # most of the others only change a pixel: ZSTD as GDAL writes it has no checksum


def entry(data: bytes, tag: int) -> int:
    """Where the directory's entry of a tag lies."""
    (directory,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, directory)
    places = range(directory + 2, directory + 2 + 12 * count, 12)
    return next(place for place in places if struct.unpack_from("<H", data, place)[0] == tag)


def test_nothing_that_a_directory_claims_is_believed(encode: Encode) -> None:
    """The compiled loop knows no bounds, and an error that is not a bad patch's would end the run."""
    pytest.importorskip("zstandard")
    pixels = np.random.default_rng(0).integers(1, 9999, (3, 16, 12), dtype=np.uint16)
    data = encode(pixels, **SHARDS, blockysize=16, nodata=0)
    assert find_strips(data) is not None
    (directory,) = struct.unpack_from("<I", data, 4)
    changes = {
        2: ("<H", range(19)),  # kind
        4: ("<I", (0, 1, 2, 3, 5, 100, 65535, 2**31, 2**32 - 1)),  # count
        8: ("<I", (0, 1, 2, 7, 8, 16, 17, 100, 65535, 2**31, 2**32 - 1)),  # value, or where it lies
    }
    refused = 0
    for place in range(directory + 2, directory + 2 + 12 * struct.unpack_from("<H", data, directory)[0], 12):
        for offset, (form, values) in changes.items():
            for value in values:
                hurt = bytearray(data)
                struct.pack_into(form, hurt, place + offset, value)
                for size in (None, (16, 12)):
                    try:
                        assert decode(bytes(hurt), bands=3, size=size).size
                    except BadPatchError:
                        refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("tag", "value"), [(WIDTH, 0), (HEIGHT, 0), (WIDTH, 40_000), (SAMPLES, 0), (BITS, 12), (PREDICTOR, 3)]
)
def test_a_form_that_is_not_ours_is_left_to_gdal(encode: Encode, tag: int, value: int) -> None:
    pytest.importorskip("zstandard")
    hurt = bytearray(encode(np.ones((1, 16, 12), np.uint16), **SHARDS, blockysize=16))
    struct.pack_into("<I", hurt, entry(hurt, tag) + 8, value)
    assert find_strips(bytes(hurt)) is None


def test_no_data_that_is_no_number_is_left_to_gdal(encode: Encode) -> None:
    data = encode(np.ones((3, 16, 12), np.uint16), **SHARDS, blockysize=16, nodata=12345)
    hurt = bytearray(data)
    place = struct.unpack_from("<I", data, entry(data, NO_DATA) + 8)[0]
    hurt[place : place + 5] = b"abcde"
    assert find_strips(bytes(hurt)) is None
    assert decode(bytes(hurt), bands=3).all()


@pytest.mark.parametrize("claimed", [0, 100, 385, 2**50])
def test_a_band_that_lies_about_its_length_is_unreadable(encode: Encode, claimed: int) -> None:
    """A frame's own word for its length decides what memory is taken."""
    zstandard = pytest.importorskip("zstandard")
    data = encode(np.ones((1, 16, 12), np.uint16), **SHARDS, blockysize=16)
    frame = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", claimed)
    if claimed == 385:  # an honest frame, of a number of bytes that makes no whole pixels
        frame = zstandard.ZstdCompressor().compress(bytes(claimed))
    hurt = bytearray(data + frame)
    struct.pack_into("<I", hurt, entry(data, 273) + 8, len(data))
    struct.pack_into("<I", hurt, entry(data, SIZES) + 8, len(frame))
    struct.pack_into("<H", hurt, entry(data, SIZES) + 2, 4)
    assert find_strips(bytes(hurt)) is not None
    with pytest.raises(BadPatchError, match=r"a band claims to be \d+ bytes, not 384"):
        decode(bytes(hurt), bands=1)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 37), (1, 37, 1), (2, 3, 255), (12, 255, 257), (1, 256, 256)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_odd_sizes_come_back_as_gdal_reads_them(encode: Encode, shape: tuple[int, int, int], dtype: type) -> None:
    pixels = np.random.default_rng(0).integers(1, np.iinfo(dtype).max, shape).astype(dtype)
    data = encode(pixels, **SHARDS, blockysize=shape[1])
    assert zstd_strips._tools() is None or find_strips(data) is not None
    np.testing.assert_array_equal(decode(data, bands=shape[0]), pixels)
    with rasterio.MemoryFile(data) as file, file.open() as source:
        np.testing.assert_array_equal(source.read(), pixels)


def test_bands_that_were_never_written_are_zeros_as_gdal_has_it(encode: Encode) -> None:
    pixels = np.zeros((3, 64, 64), np.uint16)
    pixels[1] = 7
    data = encode(pixels, **SHARDS, blockysize=64, sparse_ok=True)
    np.testing.assert_array_equal(decode(data, bands=3), pixels)


def test_pixels_never_go_where_they_do_not_fit(encode: Encode) -> None:
    data = encode(np.ones((3, 16, 12), np.uint16), **SHARDS, blockysize=16)
    with pytest.raises(BadPatchError, match="16 x 12 pixels, not 12 x 16"):
        decode(data, bands=3, out=np.empty((3, 12, 16), np.uint16))


def test_many_threads_decode_at_a_time(encode: Encode) -> None:
    random = np.random.default_rng(0)
    patches = [random.integers(1, 9999, (3, 64, 64), dtype=np.uint16) for _ in range(20)]
    files = [encode(pixels, **SHARDS, blockysize=64) for pixels in patches]
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda n: decode(files[n % 20], bands=3), range(400))
        for number, pixels in enumerate(found):
            np.testing.assert_array_equal(pixels, patches[number % 20])


def test_where_nothing_can_be_kept_the_loops_are_compiled_all_the_same() -> None:
    pytest.importorskip("numba")
    program = (
        "import numba.core.caching as c; c.CacheImpl._locator_classes = []\n"
        "import numpy as np; from satclip.data.geotiff.kernel import undo_differences\n"
        "out = np.empty((1, 3), np.uint8)\n"
        "undo_differences(np.array([[250, 5, 1]], np.uint8), out); print(out.tolist())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "[[250, 255, 0]]\n", done.stderr
