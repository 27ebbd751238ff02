"""Overlapping footprints are told, and the doctor's pictures never say nothing."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import torch
from PIL import Image
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.warp import transform

from satclip.data.prepare.check import check
from satclip.data.sources.index_csv import write_index
from satclip.data.split.overlap import DEGREE_KM, overlap
from satclip.data.split.rule import Split

Encode = Callable[..., bytes]
BANDS = ["a", "b", "c"]


def test_shares_are_those_of_rectangles_near_the_equator() -> None:
    """shapely's areas on a plane are the oracle."""
    rng = np.random.default_rng(0)
    centres, halves = rng.uniform(-0.2, 0.2, (120, 2)), rng.uniform(0.5, 2.0, (120, 1)) * [1.0, 1.0]
    held_out = rng.random(120) < 0.3
    found = overlap(centres, halves, held_out)
    middle = centres * DEGREE_KM
    boxes = shapely.box(*(middle - halves).T, *(middle + halves).T)
    common = shapely.area(shapely.intersection(boxes[:, None], boxes[None]))
    share = common / np.minimum(shapely.area(boxes)[:, None], shapely.area(boxes)[None])
    np.fill_diagonal(share, 0)
    np.testing.assert_allclose(found.any, share.max(1), atol=1e-3)
    np.testing.assert_allclose(found.across, np.where(held_out[:, None] != held_out[None], share, 0).max(1), atol=1e-3)
    assert share[found.worst] == pytest.approx(share.max(), abs=1e-3)


def test_the_date_line_and_the_narrowing_of_meridians_are_minded() -> None:
    centres = np.array([[179.999, 0.0], [-179.999, 0.0], [10.0, 80.0], [10.04, 80.0], [10.04, 0.0], [10.0, 0.0]])
    found = overlap(centres, np.full((6, 2), 1.0), np.zeros(6, bool))
    assert found.any[:2] == pytest.approx(1 - 0.002 * DEGREE_KM / 2)
    assert found.any[2:4] == pytest.approx(1 - 0.04 * DEGREE_KM * np.cos(np.radians(80)) / 2)
    assert not found.any[4:].any()
    assert not overlap(centres[:1], np.ones((1, 2)), np.zeros(1, bool)).any.any()


def build(root: Path, encode: Encode, step: int) -> Path:
    """Patches of 160 m in a row, each `step` metres east of the last, across the border of two 5-degree blocks."""
    (root / "images").mkdir(parents=True)
    crs, names, places = CRS.from_epsg(32633), [], []
    for number in range(40):
        (border,), _ = transform("EPSG:4326", crs, [15.0], [45.0])
        east = border + (number - 20) * step + 0.5 * step
        pixels = np.random.default_rng(number).integers(1, 5000, (3, 16, 16), dtype=np.uint16)
        place = (10.0, 0.0, east - 80, 0.0, -10.0, 4_983_000.0 + 80)
        names.append(f"p{number}.tif")
        (root / "images" / names[-1]).write_bytes(georeferenced(pixels, crs, place))
        (longitude,), (latitude,) = transform(crs, "EPSG:4326", [east], [4_983_000.0])
        places.append((longitude, latitude))
    write_index(root / "index.csv", names, torch.tensor(places, dtype=torch.float64))
    return root


def georeferenced(pixels: Any, crs: CRS, place: tuple[float, ...]) -> bytes:
    bands, height, width = pixels.shape
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", count=bands, height=height, width=width, dtype="uint16", crs=crs,
            transform=rasterio.Affine(*place),
        ) as target:  # fmt: skip
            target.write(pixels)
        return bytes(file.read())


def test_neighbours_and_both_sides_of_the_split_are_told_apart(tmp_path: Path, encode: Encode) -> None:
    close, _, _ = check(build(tmp_path / "close", encode, 120), BANDS, 1)
    assert close.healthy
    assert close.overlap["patches"] == close.overlap["of"] == 40
    assert close.overlap["largest"] == pytest.approx(0.25, abs=0.01)
    assert any("40 of 40 patches overlap another (at most 25%" in line for line in close.notes)
    random, _, _ = check(tmp_path / "close", BANDS, 1, Split("random", 0.3, 5.0))
    leaking = random.overlap["validation_meets_training"]
    assert 0 < leaking <= random.overlap["validation"]
    assert any(
        f"dataset.split=random: {leaking} of" in line and "their scores flatter" in line for line in random.notes
    )
    apart, _, _ = check(build(tmp_path / "apart", encode, 200), BANDS, 1, Split("random", 0.3, 5.0))
    assert apart.overlap["patches"] == apart.overlap["validation_meets_training"] == 0
    assert not any("overlap" in line for line in apart.notes)


def test_a_block_split_leaks_only_at_its_border(tmp_path: Path, encode: Encode) -> None:
    report, _, _ = check(build(tmp_path / "close", encode, 120), BANDS, 1, Split("block", 0.5, 5.0))
    assert report.overlap["validation_meets_training"] in (0, 1)
    assert report.overlap["validation"] == 20
    assert report.overlap["validation_meets_training"] == 1


def test_patches_without_a_georeference_are_counted(make_shards: Callable[..., Path]) -> None:
    report, _, _ = check(make_shards((5, 6)), BANDS, 1)
    assert "11 patches without a georeference: overlaps unknown" in report.notes


@pytest.mark.parametrize(("bands", "cause"), [(["a", "b"], "bands"), (BANDS, "empty")])
def test_a_sheet_without_patches_says_why(
    tmp_path: Path,
    encode: Encode,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bands: list[str],
    cause: str,
) -> None:
    root = build(tmp_path / "own", encode, 200)
    if cause == "empty":
        for path in (root / "images").iterdir():
            path.write_bytes(encode(np.zeros((3, 16, 16), np.uint16)))
    script = runpy.run_path(str(project / "scripts" / "check_shards.py"))
    monkeypatch.setattr(sys, "argv", ["check", str(root), "--bands", *bands, "--out", str(tmp_path / "out")])
    monkeypatch.setitem(script["main"].__globals__, "draw_map", lambda *_: None)  # its coastlines take seconds
    with pytest.raises(SystemExit) as ended:
        script["main"]()
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "data sets without a single usable patch: 1" in said
    assert f"no patch could be drawn; --bands names the bands in the files, now {len(bands)} of them" in said
    assert json.loads((tmp_path / "out" / "report.json").read_text())["troubles"]["nothing"]
    with Image.open(tmp_path / "out" / "patches.png") as picture:
        assert 0.001 < (np.asarray(picture) < 128).mean() < 0.5  # letters, not a white sheet
