import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import torch
from rasterio.io import MemoryFile

from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.data.prepare import blue_marble
from satclip.data.prepare.blue_marble import encoded, land_places, load_land, load_picture, write_blue_marble
from satclip.data.prepare.blue_marble_patches import Recipe, between, cut, cut_scales, pyramid
from satclip.data.sources.index_csv import read_index
from satclip.data.sources.shards import Shards

SMALL = Recipe(places=60, patch_size=16, kilometres_per_pixel=7.4)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return load_picture()


def test_the_picture_and_the_land_mask_lie_as_they_are_said_to(picture: np.ndarray) -> None:
    land = load_land()

    def pixel(lon: float, lat: float) -> list[int]:
        return picture[int((90 - lat) * 15), int((lon + 180) * 15)].tolist()

    def on_land(lon: float, lat: float) -> bool:
        return bool(land[int((lat + 90) * 12), int((lon + 180) * 12)])

    red, green, blue = pixel(25, 23)  # the Sahara
    assert red > green > blue
    red, green, blue = pixel(-30, 30)  # the Atlantic
    assert blue > 2 * red
    assert min(pixel(-42, 73)) > 200  # the ice of Greenland
    for place in ((13.4, 52.5), (149.0, -33.0), (-98.0, 38.0), (25.0, 23.0)):
        assert on_land(*place)
    for place in ((-30.0, 30.0), (33.0, -1.0), (150.0, -45.0)):  # the second is Lake Victoria
        assert not on_land(*place)


def test_places_are_on_land_as_even_as_the_land_and_each_set_begins_like_the_other() -> None:
    land = load_land()
    places = land_places(20_000, land)
    assert torch.equal(places[:500], land_places(500, land))
    # Area of land north of the equator, on the sphere, among that between 56 S and 84 N.
    latitudes = (np.arange(2160) + 0.5) / 12 - 90
    area = land.sum(1) * np.cos(np.radians(latitudes)) * (latitudes > -56) * (latitudes < 84)
    expected = area[1080:].sum() / area.sum()
    assert float((places[:, 1] > 0).double().mean()) == pytest.approx(expected, abs=0.012)


@pytest.mark.parametrize("place", [(12.5, 42.0), (179.95, 66.0), (-180.0, -16.7), (-40.0, 83.9), (100.0, -55.9)])
def test_a_patch_is_what_pyproj_finds_in_the_projection_of_its_file(
    picture: np.ndarray, place: tuple[float, float]
) -> None:
    recipe = Recipe(places=1, patch_size=48, kilometres_per_pixel=7.4)
    (data,) = encoded([picture], torch.tensor([place], dtype=torch.float64), recipe)
    with MemoryFile(data) as file, file.open() as source:
        pixels, transform, crs = source.read(), source.transform, source.crs
    x, y = np.meshgrid(*(np.arange(48) + 0.5,) * 2)
    x, y = transform @ (x, y)
    lon, lat = pyproj.Transformer.from_crs(pyproj.CRS.from_wkt(crs.to_wkt()), "EPSG:4326", always_xy=True).transform(
        x, y
    )
    assert np.hypot(*(transform @ (24.0, 24.0))) < 1e-6
    rows, columns = (90 - lat) * 15 - 0.5, (lon + 180) * 15 - 0.5
    expected = between(picture, rows.astype(np.float32), columns.astype(np.float32)).transpose(2, 0, 1).astype(int)
    # The projection in the file is of the ellipsoid, the cut of the sphere: under a tenth of a pixel apart.
    difference = np.abs(pixels.astype(int) - expected)
    assert np.median(difference) <= 1
    assert difference.mean() < 2.5


def test_a_patch_on_the_date_line_has_no_seam(picture: np.ndarray) -> None:
    recipe = Recipe(places=1, patch_size=32, kilometres_per_pixel=7.4)
    smooth = np.repeat(
        (np.cos(np.arange(5400) / 5400 * 2 * np.pi) * 100 + 120).astype(np.uint8)[None, :, None], 2700, 0
    )
    patch = cut(np.repeat(smooth, 3, 2), np.array([[180.0, 0.0]]), recipe)
    assert np.ptp(patch) <= 1


def test_the_data_set_is_whole_readable_and_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_blue_marble(tmp_path / name, SMALL)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["index.csv", "manifest.json", "shard-00000.tar", "shard-00000.tar.index.json"]
    for name in ("index.csv", "shard-00000.tar"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    shards, index = Shards([tmp_path / "a" / "shard-00000.tar"]), read_index(tmp_path / "a" / "index.csv")
    assert shards.names == index.names
    assert torch.equal(shards.lonlat, index.lonlat)
    with MemoryFile(shards.read(59)) as file, file.open() as source:
        assert (source.count, source.shape, source.dtypes[0]) == (3, (16, 16), "uint8")
        parameters = source.crs.to_dict()
    assert (parameters["lon_0"], parameters["lat_0"]) == pytest.approx(index.lonlat[59].tolist())


def test_it_is_written_once_and_again_when_the_recipe_changes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "data"
    write_blue_marble(root, SMALL)
    before = (root / "index.csv").stat().st_mtime_ns
    write_blue_marble(root, SMALL)
    assert (root / "index.csv").stat().st_mtime_ns == before
    write_blue_marble(root, Recipe(places=30, patch_size=16, kilometres_per_pixel=7.4))
    assert "another recipe" in caplog.text
    assert len(read_index(root / "index.csv").names) == 30
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="something other than Blue Marble patches; choose another root"):
        write_blue_marble(tmp_path, SMALL)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_killed_write_leaves_nothing_that_looks_finished_and_the_next_clears_up(tmp_path: Path) -> None:
    root = tmp_path / "data"
    program = f"""
from pathlib import Path
from satclip.data.prepare.blue_marble import Recipe, write_blue_marble
write_blue_marble(Path({str(root)!r}), Recipe(places=400_000, patch_size=16, kilometres_per_pixel=7.4))
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".data.*/shard-00001.tar")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not root.exists()
    assert len(list(tmp_path.glob(".data.*"))) == 1
    write_blue_marble(root, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert json.loads((root / "manifest.json").read_text())["places"] == 60


def test_without_the_package_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(blue_marble.resources, "files", missing)
    with pytest.raises(ImportError, match=r"pip install 'satclip\[demo\]'"):
        write_blue_marble(tmp_path / "data", SMALL)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "bad", [{"places": 0}, {"patch_size": 4}, {"kilometres_per_pixel": 0.0}, {"kilometres_per_pixel": 9e3}]
)
def test_an_impossible_recipe_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="a patch needs 8 pixels at least"):
        Recipe(**{"places": 10, "patch_size": 16, "kilometres_per_pixel": 7.4, **bad})


@pytest.mark.parametrize("scales", [(), (0, 1), (8, 1), (2, 2)])
def test_scales_that_do_not_ascend_from_one_are_refused(scales: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"dataset\.scales are whole numbers from 1, ascending"):
        Recipe(places=10, patch_size=16, kilometres_per_pixel=7.4, scales=scales)


def test_a_second_scale_shows_the_surroundings_in_means_of_what_lies_between_its_points(picture: np.ndarray) -> None:
    two = Recipe(places=1, patch_size=16, kilometres_per_pixel=7.4, scales=(1, 8))
    place = np.array([[25.0, 30.0]])
    pictures = pyramid(picture, two.scales)
    assert two.bands == ("R", "G", "B", "R8", "G8", "B8")
    assert [each.shape for each in pictures] == [(2700, 5400, 3), (675, 1350, 3)]
    (patch,) = cut_scales(pictures, place, two)
    (fine,) = cut(picture, place, SMALL)
    assert np.array_equal(patch[..., :3], fine)
    wide = Recipe(places=1, patch_size=128, kilometres_per_pixel=7.4)  # the same ground, every pixel of it
    (ground,) = cut(picture, place, wide)
    means = ground.reshape(16, 8, 16, 8, 3).mean((1, 3))
    assert np.abs(patch[..., 3:] - means).mean() < 4
    (single,) = cut(picture, place, Recipe(places=1, patch_size=16, kilometres_per_pixel=59.2))
    assert np.abs(patch[..., 3:] - means).mean() < np.abs(single - means).mean()  # one pixel of 64 would be noise


def test_a_file_of_two_scales_covers_the_ground_of_the_wider_one(picture: np.ndarray) -> None:
    two = Recipe(places=1, patch_size=16, kilometres_per_pixel=7.4, scales=(1, 8))
    (data,) = encoded(pyramid(picture, two.scales), torch.tensor([[5.0, 45.0]], dtype=torch.float64), two)
    with MemoryFile(data) as file, file.open() as source:
        assert source.count == 6
        assert source.res == (59200.0, 59200.0)
        (cut_again,) = cut_scales(pyramid(picture, two.scales), np.array([[5.0, 45.0]]), two)
        assert np.array_equal(source.read(), cut_again.transpose(2, 0, 1))


def test_a_data_set_of_two_scales_is_read_as_six_bands_and_not_written_twice(tmp_path: Path) -> None:
    options: dict[str, Any] = {"places": 300, "patch_size": 16, "image_size": 16, "scales": [1, 8], "split": "all"}
    data = BlueMarbleDataModule(tmp_path / "data", **options, keep_in_memory=True, num_workers=0)
    data.prepare_data()
    written = (tmp_path / "data" / "manifest.json").stat().st_mtime_ns
    data.prepare_data()
    assert (tmp_path / "data" / "manifest.json").stat().st_mtime_ns == written
    data.setup()
    assert data.channels == 6
    assert len(data.train_lonlat) == 300  # nothing is held out
    assert 0 < len(data.val_lonlat) < 300
    assert torch.isin(data.val_lonlat[:, 0], data.train_lonlat[:, 0]).all()
    assert data.collection.division.in_words() == "trained on themselves: memory, not knowledge"
    sample = data.validation_sample(20)["image"]
    assert sample.shape == (20, 6, 16, 16)


def test_a_folder_of_one_scale_written_before_there_were_more_is_still_right(tmp_path: Path) -> None:
    write_blue_marble(tmp_path / "data", SMALL)
    facts = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert facts == {"places": 60, "patch_size": 16, "kilometres_per_pixel": 7.4, "version": 1}


def test_patches_can_be_opened_by_any_program(tmp_path: Path, picture: np.ndarray) -> None:
    (data,) = encoded([picture], torch.tensor([[5.0, 45.0]], dtype=torch.float64), SMALL)
    (tmp_path / "patch.tif").write_bytes(data)
    with rasterio.open(tmp_path / "patch.tif") as source:
        assert source.colorinterp[0].name == "red"
        assert source.res == (7400.0, 7400.0)
