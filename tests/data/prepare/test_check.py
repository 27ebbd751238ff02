"""The doctor finds nothing in healthy data, and each of many kinds of damage by its name."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rasterio.crs import CRS
from rasterio.warp import transform

from satclip.data.prepare.check import Report, check
from satclip.data.prepare.rewrite_shards import Rewriting, rewrite
from satclip.data.sources.index_csv import read_index, write_index
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.shards import Shards, write_shard

Encode = Callable[..., bytes]
BANDS = ["a", "b", "c"]
COUNT = 30


def patch(encode: Encode, number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(1, 5000, (3, 16, 16), dtype=np.uint16)
    return encode(pixels, crs=CRS.from_epsg(32633))


def place() -> tuple[float, float]:
    """Where the georeference that `encode` writes has its middle."""
    (longitude,), (latitude,) = transform("EPSG:32633", "EPSG:4326", [500_080], [4_999_920])
    return longitude, latitude


def build(root: Path, encode: Encode, change: dict[int, bytes] | None = None, *, index: bool = True) -> Path:
    """Thirty patches in two shards, some of them changed."""
    root.mkdir()
    data = {number: (change or {}).get(number, patch(encode, number)) for number in range(COUNT)}
    names = [f"patch_{number}.tif" for number in range(COUNT)]
    lonlat = torch.tensor([place()] * COUNT, dtype=torch.float64)
    for shard in range(2):
        rows = range(15 * shard, 15 * shard + 15)
        write_shard(root / f"shard-{shard}.tar", [(names[n], data[n], *lonlat[n].tolist()) for n in rows])
    if index:
        write_index(root / "index.csv", names, lonlat)
    return root


def troubles(root: Path) -> dict[str, list[str]]:
    report = check(root, BANDS, 2)[0]
    return {kind: [name for name, _ in found] for kind, found in report.troubles.items() if found}


def test_nothing_is_wrong_with_healthy_shards(tmp_path: Path, encode: Encode) -> None:
    report, source, places = check(build(tmp_path / "good", encode), BANDS, 2)
    assert report.healthy
    assert (report.patches, report.shards, len(source.names), len(places)) == (30, 2, 30, 30)
    assert "nothing is wrong" in list(report.lines())[-1]
    assert report.farthest is not None
    assert report.farthest[1] < 0.001
    assert report.forms == {"3 x 16 x 16 x uint16": 30}


def test_band_statistics_are_numpys(tmp_path: Path, encode: Encode) -> None:
    report, _, _ = check(build(tmp_path / "good", encode), BANDS, 2)
    everything = np.stack(
        [np.random.default_rng(n).integers(1, 5000, (3, 16, 16), dtype=np.uint16) for n in range(COUNT)], 1
    ).reshape(3, -1)
    for row, values, name in zip(report.bands, everything.astype(float), BANDS, strict=True):
        assert row["band"] == name
        assert row["mean"] == pytest.approx(values.mean())
        assert row["std"] == pytest.approx(values.std())
        assert (row["min"], row["max"], row["zeros"]) == (values.min(), values.max(), 0)


def test_each_damage_is_named(tmp_path: Path, encode: Encode) -> None:
    flat = np.random.default_rng(99).integers(1, 9, (3, 16, 16), dtype=np.uint16)
    crs = CRS.from_epsg(32633)
    damaged = {
        3: patch(encode, 3)[:700],
        4: b"",
        5: encode(flat[:2], crs=crs),
        6: encode(flat[:, :9], crs=crs),
        7: encode(flat.astype(np.float32), crs=crs),
        8: encode(0 * flat, crs=crs),
        9: patch(encode, 2),
    }
    root = build(tmp_path / "bad", encode, damaged)
    index = read_index(root / "index.csv")
    lonlat = index.lonlat.clone()
    lonlat[20] += torch.tensor([0.5, 0.0])
    names = ["lost.tif" if name == "patch_25.tif" else name for name in index.names]
    write_index(root / "index.csv", names, lonlat)
    shards = Shards([root / "shard-1.tar"])
    write_shard(root / "shard-2.tar", [("patch_29.tif", shards.read(14), *place())])
    assert troubles(root) == {
        "unreadable": ["patch_3.tif", "patch_4.tif"],
        "bands": ["patch_5.tif"],
        "form": ["patch_6.tif", "patch_7.tif"],
        "empty": ["patch_8.tif"],
        "duplicate": ["patch_9.tif", "patch_29.tif"],
        "misplaced": ["patch_20.tif"],
        "contradiction": ["patch_20.tif"],
        "missing": ["lost.tif"],
        "unlisted": ["patch_25.tif"],
        "repeated": ["patch_29.tif"],
    }


def test_broken_shards_and_indexes_are_named(tmp_path: Path, encode: Encode) -> None:
    root = build(tmp_path / "bad", encode)
    whole = (root / "shard-1.tar").read_bytes()
    (root / "shard-1.tar").write_bytes(whole[: len(whole) // 2])
    beside = root / "shard-0.tar.index.json"
    kept = json.loads(beside.read_text())
    kept["members"]["offsets"][0] += 512
    beside.write_text(json.dumps(kept))
    found = troubles(root)
    assert found.pop("missing") == [f"patch_{n}.tif" for n in range(15, 30)]
    assert found == {"shard": ["shard-1.tar"], "index beside": ["shard-0.tar"]}


def test_shards_that_are_not_as_their_manifest_says_are_named(tmp_path: Path, encode: Encode) -> None:
    source = DataLocation(build(tmp_path / "old", encode)).find()
    rows = torch.arange(COUNT)
    rewrite(source, source.lonlat, rows, rows < 5, tmp_path / "new", Rewriting({}, BANDS, per_shard=10))
    assert troubles(tmp_path / "new") == {}
    shard = tmp_path / "new" / "train-00001.tar"
    data = bytearray(shard.read_bytes())
    data[3000] ^= 1
    shard.write_bytes(data)
    (tmp_path / "new" / "validation-00000.tar").unlink()
    found = troubles(tmp_path / "new")
    assert found["checksum"] == ["train-00001.tar"]
    assert found["shard"] == ["validation-00000.tar"]
    assert len(found["missing"]) == 5


def test_patches_without_a_place_are_named(tmp_path: Path, encode: Encode) -> None:
    root = tmp_path / "bad"
    root.mkdir()
    write_shard(root / "a.tar", [("patch_0.tif", patch(encode, 0), 10.0, 95.0)])
    assert troubles(root) == {"unplaced": ["patch_0.tif"]}


def test_the_older_mirror_is_recognised(tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satclip.data.prepare.check.OLD_MIRROR", COUNT)
    report, _, _ = check(build(tmp_path / "good", encode), BANDS, 1)
    assert any("older mirror of S2-100K" in line for line in report.lines())


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="give the folder of a data set"):
        check(tmp_path, BANDS, 1)


def test_a_long_list_is_cut_in_print_and_whole_in_json() -> None:
    report = Report(Path("root"), patches=99)
    report.troubles["empty"] = [(f"patch_{n}.tif", "") for n in range(25)]
    lines = "\n".join(report.lines())
    assert "patch_9.tif" in lines
    assert "patch_10.tif" not in lines
    assert "... and 15 more" in lines
    assert len(json.loads(json.dumps(report.as_dict()))["troubles"]["empty"]) == 25


def test_the_script_reports_draws_and_ends_with_one_where_something_is_wrong(
    tmp_path: Path, encode: Encode, project: Path
) -> None:
    root = build(tmp_path / "bad", encode, {3: b""})
    command = [sys.executable, str(project / "scripts" / "check_shards.py"), str(root), "--bands", *BANDS]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "patches that cannot be read: 1\n  patch_3.tif: of no bytes" in done.stdout
    assert json.loads((tmp_path / "out" / "report.json").read_text())["troubles"]["unreadable"][0][0] == "patch_3.tif"
    for name in ("map.png", "patches.png"):
        with Image.open(tmp_path / "out" / name) as picture:
            assert np.asarray(picture).std() > 5


def test_real_patches_are_healthy(s2_patches: Path) -> None:
    report, _, _ = check(s2_patches, [f"B{n}" for n in range(12)], 2)
    assert report.healthy, "\n".join(report.lines())
    assert report.farthest is not None
    assert report.farthest[1] < 0.01
