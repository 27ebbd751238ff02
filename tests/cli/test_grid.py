"""`satclip grid`: every cell has the embedding of its centre, wherever a program looks for it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from satclip.cli.rasters import writers
from satclip.cli.rasters.cells import Cells, slices

rasterio = pytest.importorskip("rasterio")

Ask = Callable[[NDArray[np.float64]], NDArray[np.float32]]


def test_a_geotiff_has_the_embedding_where_its_georeference_says(
    satclip: Any, expected: Ask, model: str, tmp_path: Path
) -> None:
    target = tmp_path / "world.tif"
    outcome = satclip("grid", "--model", model, "--resolution", 1.25, "-o", target)
    assert outcome.code == 0
    assert "144 x 288 cells, 5 numbers each" in outcome.err
    with rasterio.open(target) as raster:
        assert raster.crs.to_epsg() == 4326
        assert tuple(raster.bounds) == (-180, -90, 180, 90)
        assert raster.count == 5
        assert raster.descriptions == ("e0", "e1", "e2", "e3", "e4")
        assert raster.dtypes == ("float32",) * 5
        assert raster.tags()["model"] == model
        places = np.array([[-179.99, 89.99], [179.99, -89.99], [13.4, 52.5], [-58.4, -34.6], [0.0, 0.0]])
        centres = np.array([raster.xy(*raster.index(*place)) for place in places])
        sampled = np.array(list(raster.sample(places)))
    assert np.abs(centres - places).max() <= 0.626
    np.testing.assert_allclose(sampled, expected(centres), atol=1e-5)


def test_every_format_holds_the_same_cells(satclip: Any, expected: Ask, model: str, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr grids need `pip install 'satclip[cli]'`")
    for name in ("a.tif", "a.npy", "a.zarr"):
        bounds = ("--bounds", 100, -40, 330, 60)
        assert satclip("grid", "--model", model, "--resolution", 1, *bounds, "-o", tmp_path / name).code == 0
    array = np.load(tmp_path / "a.npy")
    assert array.shape == (100, 230, 5)
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    with rasterio.open(tmp_path / "a.tif") as raster:
        np.testing.assert_allclose(np.moveaxis(raster.read(), 0, -1), array, atol=1e-5)
    np.testing.assert_allclose(group["embedding"][:], array, atol=1e-5)
    longitudes, latitudes = group["lon"][:], group["lat"][:]
    assert (longitudes[0], longitudes[-1]) == (100.5, 329.5)
    assert (latitudes[0], latitudes[-1]) == (59.5, -39.5)
    assert group["embedding"].metadata.dimension_names == ("lat", "lon", "band")
    places = np.stack(np.meshgrid(longitudes, latitudes), axis=-1).reshape(-1, 2)
    np.testing.assert_allclose(array.reshape(-1, 5), expected(places), atol=1e-5)


@pytest.mark.parametrize("name", ["a.npy", "a.zarr"])
def test_half_floats_are_written_where_the_format_has_them(name: str, satclip: Any, model: str, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr grids need `pip install 'satclip[cli]'`")
    arguments = ("grid", "--model", model, "--resolution", 10, "--dtype", "float16", "-o")
    assert satclip(*arguments, tmp_path / name).code == 0
    array = np.load(tmp_path / name) if name == "a.npy" else zarr.open_group(tmp_path / name)["embedding"]
    assert array.dtype == np.float16
    refused = satclip(*arguments, tmp_path / "a.tif")
    assert refused.code == 2
    assert "GeoTIFF has no float16" in refused.err
    assert not (tmp_path / "a.tif").exists()


def test_a_zarr_that_is_there_is_replaced_as_a_whole(satclip: Any, model: str, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr grids need `pip install 'satclip[cli]'`")
    for resolution in (10, 20):
        arguments = ("grid", "--model", model, "--resolution", resolution, "-o", tmp_path / "a.zarr")
        assert satclip(*arguments).code == 0
    assert zarr.open_group(tmp_path / "a.zarr")["embedding"].shape == (9, 18, 5)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.zarr"])
def test_a_grid_of_many_blocks_is_that_of_one(
    name: str, satclip: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that fit neither the grid nor the pieces in which rows are embedded, in strips of columns too."""
    zarr = pytest.importorskip("zarr", reason="zarr grids need `pip install 'satclip[cli]'`")
    grids = []
    for block_bytes in (writers._BLOCK_BYTES, 1):
        monkeypatch.setattr(writers, "_BLOCK_BYTES", block_bytes)
        bounds = ("--bounds", -40, -20, 110, 70)
        assert satclip("grid", "--model", model, "--resolution", 0.5, *bounds, "-o", tmp_path / name).code == 0
        if name == "a.tif":
            with rasterio.open(tmp_path / name) as raster:
                grids.append(np.moveaxis(raster.read(), 0, -1))
        else:
            grids.append(
                np.load(tmp_path / name) if name == "a.npy" else zarr.open_group(tmp_path / name)["embedding"][:]
            )
    assert grids[0].shape == (180, 300, 5)
    np.testing.assert_allclose(grids[1], grids[0], atol=1e-5)


@pytest.mark.parametrize(("count", "size"), [(7, 11), (128, 128), (40, 1), (300, 128)])
def test_slices_cover_everything_once_and_in_order(count: int, size: int) -> None:
    assert np.concatenate([np.arange(count)[part] for part in slices(count, size)]).tolist() == list(range(count))


def test_a_resolution_that_is_a_fraction_of_a_degree_is_exact() -> None:
    cells = Cells.covering((-180, -90, 180, 90), 1 / 3)
    assert (cells.height, cells.width) == (540, 1080)
    assert cells.longitudes[-1] == pytest.approx(180 - 1 / 6, abs=1e-9)
    assert cells.latitudes[-1] == pytest.approx(-90 + 1 / 6, abs=1e-9)
