"""No ground is seen on both sides of a split."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
import shapely
import torch
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from torch import Tensor

from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.data.datamodule import S2DataModule
from satclip.data.sources.index_csv import write_index
from satclip.data.sources.shards import write_shard
from satclip.data.split.buffer import meets
from satclip.data.split.division import check_same_split
from satclip.data.split.footprint import footprint_km
from satclip.sphere import great_circle_km, uniform_on_sphere

Encode = Callable[..., bytes]
SPHERE = "+R=6371008.8 +units=km"


def ground(place: list[float], side: float, about: list[float]) -> Any:
    """The square of `side` kilometres about a place, in the plane about another, by pyproj and shapely."""
    steps = np.linspace(-side / 2, side / 2, 21)
    edge = np.full_like(steps, side / 2)
    x, y = np.concatenate((steps, edge, -steps, -edge)), np.concatenate((-edge, steps, edge, -steps))
    own, common = (
        pyproj.Proj(f"+proj=aeqd +lat_0={latitude} +lon_0={longitude} {SPHERE}")
        for longitude, latitude in (place, about)
    )
    return shapely.Polygon(np.stack(common(*own(x, y, inverse=True)), 1))


def near(place: list[float], reach: float, count: int, seed: int) -> Tensor:
    """Places within some kilometres of another."""
    east, north = np.random.default_rng(seed).uniform(-reach, reach, (2, count))
    plane = pyproj.Proj(f"+proj=aeqd +lat_0={place[1]} +lon_0={place[0]} {SPHERE}")
    return torch.tensor(np.stack(plane(east, north, inverse=True), 1))


@pytest.mark.parametrize("side", [2.56, 384.0])
@pytest.mark.parametrize(
    "place", [[10.0, 0.0], [-0.01, 47.0], [179.99, 65.0], [30.0, 83.0], [0.0, 89.9], [-70.0, -55.0]]
)
def test_what_meets_is_what_overlaps_on_the_ground(place: list[float], side: float) -> None:
    others = near(place, 1.3 * side, 300, seed=1)
    found = meets(others, torch.tensor([place], dtype=torch.float64), side)
    here = ground(place, side, place)
    overlap = [float(here.intersection(ground(other, side, place)).area) / side**2 for other in others.tolist()]
    apart = [float(here.distance(ground(other, side, place))) / side for other in others.tolist()]
    certain = torch.tensor([share > 1e-5 or gap > 2e-3 for share, gap in zip(overlap, apart, strict=True)])
    assert certain.sum() > 290
    assert torch.equal(found[certain], (torch.tensor(overlap) > 1e-5)[certain])
    assert 60 < found.sum() < 240


def test_every_pair_is_found_wherever_it_lies() -> None:
    places = uniform_on_sphere(1200, torch.Generator().manual_seed(0))
    first, second = places[:1000], places[1140:]
    distance = great_circle_km(first[:, None], second[None])
    for side in (30.0, 300.0, 3000.0, 30_000.0):
        found, nearest = meets(first, second, side), distance.min(1).values
        assert found[nearest < 0.999 * side].all()  # the circles in the squares meet
        assert not found[nearest > 1.001 * 2**0.5 * side].any()  # those about them do not
        one_by_one = torch.stack([meets(first, other[None], side) for other in second]).any(0)
        assert torch.equal(found, one_by_one)
    assert not meets(first, second, 0.0).any()
    assert not meets(first, second[:0], 300.0).any()
    assert meets(first, first[5:6], 1e-4).nonzero().flatten().tolist() == [5]  # a place meets itself


def patch(crs: str | None, grid: Affine, pixels: int = 64) -> bytes:
    """A GeoTIFF of one band."""
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as file:
        with file.open(
            driver="GTiff", count=1, width=pixels, height=pixels, dtype="uint8", crs=crs, transform=grid
        ) as target:
            target.write(np.ones((1, pixels, pixels), np.uint8))
        return bytes(file.read())


def test_a_footprint_is_measured_whatever_the_georeference_is_in() -> None:
    straight = patch("EPSG:32632", Affine(10, 0, 500_000 - 320, 0, -10, 5_000_000 + 320))  # on the central meridian
    place = pyproj.Transformer.from_crs(32632, 4326, always_xy=True).transform(500_000, 5_000_000)
    assert footprint_km([(straight, place)]) == pytest.approx(0.64, rel=5e-3)
    corner = pyproj.Transformer.from_crs(32632, 4326, always_xy=True).transform(500_000 - 320, 5_000_000 + 320)
    assert footprint_km([(straight, corner)]) == pytest.approx(2 * 0.64, rel=5e-3)  # the index names the corner
    assert footprint_km([(straight, (0.0, 0.0))]) == pytest.approx(0.64, rel=5e-3)  # it names another place
    degrees = patch("EPSG:4326", Affine(1e-4, 0, 20 - 32e-4, 0, -1e-4, 60 + 32e-4))
    assert footprint_km([(degrees, (20.0, 60.0))]) == pytest.approx(64e-4 * 111.2, rel=5e-3)
    mercator = patch("EPSG:3857", Affine(20, 0, -640, 0, -20, 8_399_737.9 + 640))  # at 60 degrees half as long
    assert footprint_km([(mercator, (0.0, 60.0))]) == pytest.approx(0.64, rel=5e-3)
    assert footprint_km([(straight, place), (degrees, (20.0, 60.0))]) == pytest.approx(64e-4 * 111.2, rel=5e-3)
    assert footprint_km([(patch(None, Affine(10, 0, 0, 0, -10, 0)), (0.0, 0.0)), (b"no tiff", (0.0, 0.0))]) is None


def folder(root: Path, encode: Encode, lonlat: Tensor) -> Path:
    """Patches of 8 pixels without georeference: 80 metres at Sentinel-2's ten."""
    (root / "images").mkdir(parents=True)
    names = [f"p{number}.tif" for number in range(len(lonlat))]
    for number, name in enumerate(names):
        (root / "images" / name).write_bytes(encode(np.full((1, 8, 8), number + 1, np.uint16)))
    write_index(root / "index.csv", names, lonlat)
    return root


def module(root: Path, **options: Any) -> S2DataModule:
    small: dict[str, Any] = {"bands": ["a"], "file_bands": ["a"], "image_size": 4, "batch_size": 2, "num_workers": 0}
    data = S2DataModule(root, **{**small, "split": "random", "val_fraction": 0.3, **options})
    data.setup()
    return data


@pytest.fixture
def pairs(tmp_path: Path, encode: Encode) -> Path:
    """Forty patches, each 50 metres east of the one before or far from it, in turn."""
    step = np.degrees(0.05 / 6371)
    return folder(tmp_path / "pairs", encode, torch.tensor([[n // 2 + n % 2 * step, 0.0] for n in range(40)]).double())


@pytest.mark.parametrize("in_memory", [True, False])
def test_training_patches_on_validation_ground_are_dropped_and_counted(
    pairs: Path, in_memory: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        data = module(pairs, keep_in_memory=in_memory)
    train, val = ({int(name[1:-4]) for name in names} for names in division(data))
    assert val
    assert not {number ^ 1 for number in val} & train  # the other of a pair
    assert data.collection.left_out["buffer"] == 40 - len(train) - len(val) > 0
    assert f"buffer: {data.collection.left_out['buffer']} of {40 - len(val)} training patches" in caplog.text
    assert not data.collection.division.overlapping


def test_stored_splits_and_streams_have_the_buffer_too(tmp_path: Path, encode: Encode) -> None:
    step = np.degrees(0.05 / 6371)
    lonlat = torch.tensor([[n // 2 + n % 2 * step, 0.0] for n in range(40)], dtype=torch.float64)
    root, names = tmp_path / "shards", [f"p{number}.tif" for number in range(40)]
    root.mkdir()
    for part, rows in (("train", range(0, 40, 2)), ("validation", range(1, 11, 2))):
        write_shard(
            root / f"{part}-0.tar",
            ((names[row], encode(np.full((1, 8, 8), row + 1, np.uint16)), *lonlat[row].tolist()) for row in rows),
        )
    stored = module(root, split="stored")
    assert (len(stored.train_lonlat), stored.collection.left_out["buffer"]) == (15, 5)
    write_index(tmp_path / "index.csv", names, lonlat)
    streamed = module(tmp_path, urls=f"pipe:cat {root}/train-0.tar", cache_gib=0)
    held_out = set(streamed.collection.val_rows.tolist())
    assert not {row ^ 1 for row in held_out} & set(streamed.collection.train_rows.tolist())
    assert streamed.collection.left_out["buffer"] == 40 - len(held_out) - len(streamed.train_lonlat) > 0


def division(data: S2DataModule) -> tuple[list[str], list[str]]:
    """Names of the patches for training and for validation."""
    found = data.collection
    names = found.source.names
    return [names[row] for row in found.train_rows.tolist()], [names[row] for row in found.val_rows.tolist()]


def test_the_buffer_is_an_option_and_off_is_said_to_flatter(pairs: Path, caplog: pytest.LogCaptureFixture) -> None:
    off = module(pairs, split_buffer_km=0)
    alone = sum(number ^ 1 not in off.collection.val_rows.tolist() for number in off.collection.val_rows.tolist())
    assert off.collection.left_out["buffer"] == 0
    assert off.collection.division.overlapping == alone > 0
    assert f"{alone} of {len(off.val_lonlat)} validation patches show ground that training patches show" in caplog.text
    assert torch.equal(module(pairs, split_buffer_km=0.08).train_lonlat, module(pairs).train_lonlat)
    with pytest.raises(
        ValueError, match=r"all \d+ of \d+ training patches .* \(dataset\.split=block.*split_buffer_km=0"
    ):
        module(pairs, split_buffer_km=5000)
    with pytest.raises(ValueError, match=r"all \d+ of \d+ training patches .* larger dataset\.split_degrees"):
        module(pairs, split_buffer_km=5000, split="block", split_degrees=2.0)


@pytest.mark.parametrize("value", [-1, "wide", None, float("nan"), float("inf"), True])
def test_a_buffer_that_is_none_is_refused(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match=r"split_buffer_km takes auto .* kilometres, or 0 for no buffer"):
        S2DataModule(tmp_path, split_buffer_km=value)  # type: ignore[arg-type]


def test_much_lost_to_the_buffer_and_small_blocks_are_said_with_what_to_do(
    imagery: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = BlueMarbleDataModule(
        imagery,
        places=400,
        patch_size=20,
        kilometres_per_pixel=20.0,
        image_size=20,
        split="random",
        val_fraction=0.5,
        num_workers=0,
    )
    data.setup()
    assert "and are left out, more than half. To keep more: hold out whole blocks" in caplog.text
    assert data.collection.division.rule["buffer_km"] == pytest.approx(400, rel=6e-3)  # the ellipsoid's kilometres
    assert not meets(data.train_lonlat, data.val_lonlat, 400.0).any()
    caplog.clear()
    blocks = BlueMarbleDataModule(
        imagery, places=400, patch_size=20, kilometres_per_pixel=20.0, image_size=20, num_workers=0
    )
    blocks.setup()
    assert (
        "blocks of 5 degrees (556 km) are narrower than two patches of 402 km, so every held-out patch may share ground"
        in caplog.text
    )
    assert "dataset.split_degrees=8 or more" in caplog.text
    assert not meets(blocks.train_lonlat, blocks.val_lonlat, 400.0).any()


@pytest.mark.parametrize(
    ("before", "now", "complaint"),
    [
        ({"split": "block", "split_degrees": 5.0}, {"split": "block", "split_degrees": 10.0}, "split_degrees=5.0"),
        ({"split": "block", "split_degrees": 5.0}, {"split": "random"}, "split=block dataset.split_degrees=5.0"),
        ({"val_fraction": 0.1}, {"val_fraction": 0.2}, "val_fraction was 0.1, is 0.2"),
        ({"split_buffer_km": 0.0, "buffer_km": 0.0}, {}, "split_buffer_km was 0.0, is auto"),
        (None, {}, "dataset.split_buffer_km=0.0"),
    ],
)
def test_another_split_is_not_resumed_under(before: dict[str, Any] | None, now: dict[str, Any], complaint: str) -> None:
    rule: dict[str, Any] = {"split": "random", "val_fraction": 0.1, "split_buffer_km": "auto", "buffer_km": 2.6}
    with pytest.raises(ValueError, match=rf"trained under another split .*{complaint}.*ckpt_path=null"):
        check_same_split(None if before is None else rule | before, rule | now)


def test_the_same_split_is_the_same_by_whatever_name_and_with_more_data() -> None:
    rule: dict[str, Any] = {"split": "random", "val_fraction": 0.1, "split_buffer_km": "auto", "buffer_km": 2.6}
    check_same_split(rule, rule)
    check_same_split(rule, rule | {"buffer_km": 2.71})  # other patches were measured
    check_same_split(rule, rule | {"split_buffer_km": 2.6})
    check_same_split(None, rule | {"split_buffer_km": 0, "buffer_km": 0.0})
