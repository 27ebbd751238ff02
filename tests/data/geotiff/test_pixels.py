"""What people's GeoTIFFs hold is read right, or refused by name with what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.shutil import copy

from satclip.data.geotiff.decode import BadPatchError, decode
from satclip.data.prepare.examine import examine
from satclip.data.prepare.rewrite_shards import recompressed, same_patch

Encode = Callable[..., bytes]
TYPES = ["uint8", "uint16", "int16", "float32"]
FORMS: dict[str, dict[str, Any]] = {
    "by pixel": {"interleave": "pixel"},
    "by band": {"interleave": "band"},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16},
    "big-endian": {"endianness": "big"},
    "BigTIFF": {"BIGTIFF": "YES"},
    "deflate": {"compress": "deflate", "predictor": 2},
    "LZW": {"compress": "lzw"},
    "LERC": {"compress": "lerc"},
    "ZSTD by pixel": {"compress": "zstd", "interleave": "pixel"},
    "ZSTD by band": {"compress": "zstd", "interleave": "band", "predictor": 2, "blockysize": 40},
    "sparse": {"SPARSE_OK": "TRUE"},
}


def picture(dtype: str, bands: int = 3, size: int = 40) -> NDArray[Any]:
    low = -50 if dtype in ("int16", "float32") else 0
    return np.random.default_rng(0).integers(low, 200, (bands, size, size)).astype(dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", TYPES)
def test_every_type_in_every_form_comes_as_it_is(encode: Encode, dtype: str, form: str) -> None:
    options = dict(FORMS[form])
    if dtype == "float32" and options.get("predictor") == 2:
        options["predictor"] = 3
    pixels = picture(dtype)
    data = encode(pixels, **options)
    np.testing.assert_array_equal(decode(data, bands=3), pixels)
    np.testing.assert_array_equal(decode(data, bands=3, read=(2, 0)), pixels[[2, 0]])
    again = recompressed(data, bands=3)
    np.testing.assert_array_equal(decode(again, bands=3), pixels)
    assert same_patch(data, again, 3)
    facts = examine(data, 3)
    assert (facts.cause, facts.form) == (None, (3, 40, 40, dtype))


def test_a_cloud_optimised_file_is_read_at_full_size(encode: Encode, tmp_path: Path) -> None:
    pixels = picture("uint16", size=1024)
    (tmp_path / "a.tif").write_bytes(encode(pixels))
    copy(tmp_path / "a.tif", tmp_path / "cog.tif", driver="COG", compress="zstd", overviews="AUTO")
    with rasterio.open(tmp_path / "cog.tif") as file:
        assert file.overviews(1)
    np.testing.assert_array_equal(decode((tmp_path / "cog.tif").read_bytes(), bands=3), pixels)


def test_a_jpeg_inside_is_read_as_gdal_reads_it(encode: Encode) -> None:
    data = encode(picture("uint8", size=64), compress="jpeg", photometric="ycbcr")
    with MemoryFile(data) as file, file.open() as source:
        np.testing.assert_array_equal(decode(data, bands=3), source.read())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("options", [{}, {"compress": "zstd", "interleave": "band", "blockysize": 40}], ids=str)
def test_nodata_is_zero_whatever_number_says_it(encode: Encode, dtype: str, options: dict[str, Any]) -> None:
    nodata = {"uint8": 255, "uint16": 65535, "int16": -9999, "float32": -9999.0}[dtype]
    pixels = picture(dtype)
    pixels[:, :5] = nodata
    expected = pixels.copy()
    expected[:, :5] = 0
    for data in (encode(pixels, nodata=nodata, **options), recompressed(encode(pixels, nodata=nodata, **options))):
        np.testing.assert_array_equal(decode(data, bands=3), expected)


def test_nodata_that_the_type_cannot_hold_is_nowhere(encode: Encode) -> None:
    pixels = picture("float32")
    for nodata in (float("nan"), 3.4e38):
        np.testing.assert_array_equal(decode(encode(pixels, nodata=nodata), bands=3), pixels)


def test_what_is_no_number_is_zero_and_a_patch_of_nothing_else_is_empty(encode: Encode) -> None:
    pixels = picture("float32")
    pixels[0, 0], pixels[1, 1], pixels[2, 2] = np.nan, np.inf, -np.inf
    found = decode(encode(pixels), bands=3)
    assert np.isfinite(found).all()
    assert not found[0, 0].any()
    assert not found[1, 1].any()
    np.testing.assert_array_equal(found[:, 3:], pixels[:, 3:])
    with pytest.raises(BadPatchError, match="100% of the pixels are zero or nodata") as caught:
        decode(encode(np.full((3, 40, 40), np.nan, np.float32)), bands=3)
    assert caught.value.cause == "empty"


@pytest.mark.parametrize("compress", ["lzw", "zstd"])
def test_a_mask_inside_the_file_is_obeyed(tmp_path: Path, compress: str) -> None:
    pixels, mask = picture("uint16") + 1, np.full((40, 40), 255, np.uint8)
    mask[:10] = 0
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            tmp_path / "a.tif", "w", driver="GTiff", width=40, height=40, count=3, dtype="uint16", compress=compress,
            interleave="band", blockysize=40, transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
        ) as file,
    ):  # fmt: skip
        file.write(pixels)
        file.write_mask(mask)
    data = (tmp_path / "a.tif").read_bytes()
    expected = np.where(mask > 0, pixels, 0)
    np.testing.assert_array_equal(decode(data, bands=3), expected)
    np.testing.assert_array_equal(decode(recompressed(data, bands=3), bands=3), expected)


def with_alpha(pixels: NDArray[Any], alpha: NDArray[Any]) -> bytes:
    bands, height, width = pixels.shape
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=width, height=height, count=bands + 1, dtype=str(pixels.dtype), ALPHA="YES",
            transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
        ) as target:  # fmt: skip
            target.write(np.concatenate((pixels, alpha[None])))
            target.colorinterp = [*[ColorInterp.undefined] * bands, ColorInterp.alpha]
        return bytes(file.read())


def test_alpha_beyond_the_bands_hides_and_is_no_band(tmp_path: Path) -> None:
    pixels, alpha = picture("uint8") + 1, np.full((40, 40), 255, np.uint8)
    alpha[:, :7] = 0
    data = with_alpha(pixels, alpha)
    expected = np.where(alpha > 0, pixels, 0)
    np.testing.assert_array_equal(decode(data, bands=3), expected)
    np.testing.assert_array_equal(decode(recompressed(data, bands=3), bands=3), expected)
    assert examine(data, 3).cause is None


def test_four_bands_that_gdal_calls_colours_and_alpha_are_four_where_four_are_expected(encode: Encode) -> None:
    pixels = picture("uint8", bands=4)  # GDAL marks the last of four bytes as alpha, unasked
    pixels[3, :20] = 0
    data = encode(pixels)
    np.testing.assert_array_equal(decode(data, bands=4), pixels)
    np.testing.assert_array_equal(decode(recompressed(data, bands=4), bands=4), pixels)


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [("float64", "-ot Float32"), ("int32", "-ot Float32"), ("uint32", "-ot Float32"), ("int8", "-ot Int16"),
     ("complex64", "-ot Float32")],
)  # fmt: skip
def test_other_types_are_refused_with_the_conversion(encode: Encode, dtype: str, remedy: str) -> None:
    data = encode(np.ones((3, 8, 8), dtype))
    with pytest.raises(BadPatchError, match=rf"values are {dtype}.*, not uint8, uint16, int16 or float32; .*{remedy}"):
        decode(data, bands=3)
    assert examine(data, 3).cause == "dtype"


@pytest.mark.parametrize("options", [{}, {"compress": "zstd", "interleave": "band", "blockysize": 40}], ids=str)
@pytest.mark.parametrize(("scale", "offset"), [(0.0001, 0.0), (1.0, -1000.0), (0.0001, -0.1)])
def test_a_scale_of_the_files_own_is_refused_with_both_ways_out(
    tmp_path: Path, encode: Encode, scale: float, offset: float, options: dict[str, Any]
) -> None:
    (tmp_path / "a.tif").write_bytes(encode(picture("uint16"), **options))
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        file.scales, file.offsets = (scale,) * 3, (offset,) * 3
    data = (tmp_path / "a.tif").read_bytes()
    with pytest.raises(BadPatchError, match=r"tags scale the values by .*-unscale -ot Float32.*-scale 1 -offset 0"):
        decode(data, bands=3)
    with pytest.raises(BadPatchError, match="tags scale the values"):
        recompressed(data)
    assert examine(data, 3).cause == "scaled"


@pytest.mark.parametrize("compress", ["deflate", "zstd"])
def test_a_size_that_is_a_lie_costs_no_memory(encode: Encode, compress: str) -> None:
    data = bytearray(encode(picture("uint16"), compress=compress, interleave="band", blockysize=40))
    entries = int.from_bytes(data[4:8], "little")
    for place in range(entries + 2, entries + 2 + 12 * int.from_bytes(data[entries : entries + 2], "little"), 12):
        if int.from_bytes(data[place : place + 2], "little") in (256, 257):  # width and height
            data[place + 2 : place + 12] = (
                (4).to_bytes(2, "little") + (1).to_bytes(4, "little") + (100_000).to_bytes(4, "little")
            )
    with pytest.raises(BadPatchError) as caught:
        decode(bytes(data), bands=3)
    assert caught.value.cause in ("size", "unreadable")
    assert examine(bytes(data), 3).cause in ("size", "unreadable")


def test_a_file_of_a_hundred_thousand_pixels_a_side_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with rasterio.open(
        tmp_path / "a.tif", "w", driver="GTiff", width=100_000, height=100_000, count=3, dtype="uint16",
        SPARSE_OK="TRUE", tiled=True, transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ):  # fmt: skip
        pass
    data = (tmp_path / "a.tif").read_bytes()
    assert len(data) < 10_000_000
    with pytest.raises(BadPatchError, match="100000 x 100000 pixels of 3 bands take 56 GiB decoded"):
        decode(data, bands=3)
    with pytest.raises(BadPatchError, match="take 56 GiB"):
        recompressed(data)
    assert examine(data, 3).cause == "size"


def test_a_text_that_names_other_files_is_no_patch(tmp_path: Path) -> None:
    secret = tmp_path / "secret.tif"
    with rasterio.open(
        secret,
        "w",
        driver="GTiff",
        width=8,
        height=8,
        count=1,
        dtype="uint8",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
    ) as file:
        file.write(np.ones((1, 8, 8), np.uint8))
    virtual = f"""<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>
        <SourceFilename>{secret}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""
    for data in (virtual.encode(), str(secret).encode()):
        with pytest.raises(BadPatchError, match="not recognized"):
            decode(data, bands=1)
        assert examine(data, 1).cause == "unreadable"
        with pytest.raises(rasterio.errors.RasterioIOError):
            recompressed(data)
        with pytest.raises(rasterio.errors.RasterioIOError):
            same_patch(secret.read_bytes(), data)
