"""Maps, lists and rasters of a region: also across the date line, without the sea, in few bytes."""

import csv
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

rasterio = pytest.importorskip("rasterio")
image = pytest.importorskip("matplotlib.image")

Ask = Callable[[NDArray[np.float64]], NDArray[np.float32]]
BERING = ("--bounds", 165, 50, -160, 72)


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
    return found


def test_a_grid_across_the_date_line_lies_where_its_georeference_says(
    satclip: Any, expected: Ask, model: str, tmp_path: Path
) -> None:
    assert satclip("grid", "--model", model, *BERING, "--resolution", 1, "-o", tmp_path / "a.tif").code == 0
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert tuple(raster.bounds) == (165, 50, 200, 72)
        centres = np.array([(179.5, 60.5), (180.5, 60.5), (199.5, 71.5)])
        sampled = np.array(list(raster.sample(centres)))
    turned = np.array([(179.5, 60.5), (-179.5, 60.5), (-160.5, 71.5)])
    np.testing.assert_allclose(sampled, expected(turned), atol=1e-5)


def test_with_land_the_ocean_is_nodata_in_every_format(satclip: Any, model: str, tmp_path: Path) -> None:
    for name in ("a.tif", "a.npy"):
        arguments = ("--land", "--resolution", 0.5, "--bounds", -10, 35, 30, 60, "-o", tmp_path / name)
        assert satclip("grid", "--model", model, *arguments).code == 0
    with rasterio.open(tmp_path / "a.tif") as raster:
        assert np.isnan(raster.nodata)
        biscay, paris = (next(iter(raster.sample([place]))) for place in ((-5.0, 45.5), (2.35, 48.86)))
    assert np.isnan(biscay).all()
    assert np.isfinite(paris).all()
    array = np.load(tmp_path / "a.npy")
    assert 0.4 < np.isfinite(array[..., 0]).mean() < 0.75


def test_int8_is_the_number_to_half_a_step_with_its_scale_in_the_metadata(
    satclip: Any, model: str, tmp_path: Path
) -> None:
    for name, kind in (("a.tif", "int8"), ("b.tif", "float32")):
        arguments = ("--land", "--resolution", 1, "--dtype", kind, "--dims", 4, "-o", tmp_path / name)
        assert satclip("grid", "--model", model, *BERING, *arguments).code == 0
    with rasterio.open(tmp_path / "a.tif") as small, rasterio.open(tmp_path / "b.tif") as exact:
        assert (small.dtypes, small.nodata) == (("int8",) * 4, -128)
        steps, numbers = small.read(), exact.read()
        scales = np.array(small.scales)[:, None, None]
    sea = np.isnan(numbers)
    assert sea.any()
    assert (steps == -128).tolist() == sea.tolist()
    assert (np.abs(steps * scales - numbers)[~sea] <= (0.5001 * np.broadcast_to(scales, sea.shape))[~sea]).all()
    assert np.abs(np.where(sea, 0, steps)).max(axis=(1, 2)).tolist() == [127] * 4  # no bit is given away


def test_a_geotiff_is_laid_out_for_reading_over_a_network(satclip: Any, model: str, tmp_path: Path) -> None:
    """Tiles, overviews, and every directory before the first byte of data, coarsest overview's data first."""
    path = tmp_path / "a.tif"
    assert satclip("grid", "--model", model, "--resolution", 0.5, "-o", path).code == 0
    with rasterio.open(path) as raster:
        assert raster.block_shapes == [(128, 128)] * 5
        assert raster.overviews(1) == [2, 4]
        middle = raster.read(1, out_shape=(180, 360))
        whole = raster.read(1).reshape(180, 2, 360, 2).mean((1, 3))
    np.testing.assert_allclose(middle, whole, atol=1e-5)
    directories, data = directories_of(path.read_bytes())
    assert len(directories) == 3
    assert max(directories) < min(min(offsets) for offsets in data)
    assert min(data[0]) > max(data[1]) > max(data[2])


def directories_of(content: bytes) -> tuple[list[int], list[list[int]]]:
    """Where a classic little-endian TIFF has its directories, and the tiles of each (TIFF 6.0, tag 324)."""
    assert content[:4] == b"II*\0"
    (offset,) = struct.unpack_from("<I", content, 4)
    directories, data = [], []
    while offset:
        directories.append(offset)
        (count,) = struct.unpack_from("<H", content, offset)
        for entry in range(count):
            tag, _, number, value = struct.unpack_from("<HHII", content, offset + 2 + 12 * entry)
            if tag == 324:
                data.append(list(struct.unpack_from(f"<{number}I", content, value)))
        (offset,) = struct.unpack_from("<I", content, offset + 2 + 12 * count)
    return directories, data


def test_the_ten_most_alike_lie_apart_and_best_first(satclip: Any, expected: Ask, model: str, tmp_path: Path) -> None:
    arguments = ("--lon", 13.4, "--lat", 52.5, "--resolution", 2, "--top", 10, "--apart-km", 800)
    outcome = satclip("similar", "--model", model, *arguments, "-o", tmp_path / "like.csv")
    assert outcome.code == 0
    with (tmp_path / "like.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert [row["rank"] for row in rows] == list(range(1, 11))
    places = np.array([(row["lon"], row["lat"]) for row in rows])
    alike = cosine(expected(places), expected(np.array([[13.4, 52.5]])))
    np.testing.assert_allclose([row["similarity"] for row in rows], alike, atol=1e-5)
    assert (np.diff(alike) <= 1e-6).all()
    assert min(row["km"] for row in rows) > 800
    x = np.radians(places)
    vectors = np.stack((np.cos(x[:, 1]) * np.cos(x[:, 0]), np.cos(x[:, 1]) * np.sin(x[:, 0]), np.sin(x[:, 1])), 1)
    angles = np.arccos((vectors @ vectors.T).clip(-1, 1)) + 10 * np.eye(10)
    assert 6371 * angles.min() > 800


def test_similarity_as_a_raster_is_one_at_the_place_and_nodata_at_sea(
    satclip: Any, expected: Ask, model: str, tmp_path: Path
) -> None:
    arguments = ("--lon", 2.25, "--lat", 48.75, "--resolution", 0.5, "--bounds", -10, 35, 30, 60)
    assert satclip("similar", "--model", model, *arguments, "-o", tmp_path / "like.tif").code == 0
    with rasterio.open(tmp_path / "like.tif") as raster:
        here, there, sea = (float(v[0]) for v in raster.sample([(2.25, 48.75), (20.25, 50.25), (-5.25, 45.75)]))
    wanted = cosine(expected(np.array([[20.25, 50.25]])), expected(np.array([[2.25, 48.75]])))
    assert here == pytest.approx(1, abs=1e-6)
    assert there == pytest.approx(float(wanted[0]), abs=1e-5)
    assert np.isnan(sea)


def test_a_region_is_a_picture_of_the_size_asked_with_points_counted(satclip: Any, model: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("lon,lat\n-170,65\n175,66\n0,0\n")
    target = tmp_path / "bering.png"
    look = ("--size", 4, "--dpi", 50, "--title", "Bering", "--points", tmp_path / "mine.csv")
    outcome = satclip("map", "--model", model, "--model", f"untrained:{model}", *BERING, *look, "-o", target)
    assert outcome.code == 0
    assert "1 of 3 points lie outside --bounds" in outcome.err
    picture = image.imread(target)
    assert picture.shape[1] in (2 * 4 * 50, 3 * 4 * 50)
    assert len(np.unique(picture[..., :3].reshape(-1, 3), axis=0)) > 500


def test_points_that_are_no_places_are_refused_by_row(satclip: Any, model: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("lon,lat\n-170,65\n0,95\n")
    outcome = satclip("map", "--model", model, "--points", tmp_path / "mine.csv", "-o", tmp_path / "a.png")
    assert outcome.code == 1
    assert "row 2: (0, 95): lat 95 is not in [-90, 90]" in outcome.err
