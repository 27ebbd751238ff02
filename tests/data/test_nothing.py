"""What found nothing usable fails, the first time and the third, and leaves nothing that looks finished."""

import csv
import runpy
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.data.datamodule import S2DataModule
from satclip.data.prepare import rewrite_shards as rewriting
from satclip.data.prepare.check import check
from satclip.data.prepare.rewrite_shards import Rewriting, rewrite
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.places import place_patches
from satclip.data.sources.shards import Shards, write_shard

Encode = Callable[..., bytes]
BANDS = ["a", "b", "c"]
HOW = Rewriting({}, BANDS, per_shard=5)


def own(root: Path, contents: list[bytes], suffix: str = ".tif") -> Path:
    (root / "images").mkdir(parents=True)
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["lat", "lon", "fn"])
        for number, data in enumerate(contents):
            (root / "images" / f"p{number}{suffix}").write_bytes(data)
            writer.writerow([number * 3.0 - 30, number * 7.0 - 90, f"p{number}{suffix}"])
    return root


def write(root: Path, target: Path, **options: Any) -> dict[str, Any]:
    source = DataLocation(root).find()
    table = place_patches(source, root, 0.01)
    return rewrite(source, table.lonlat, table.rows, table.rows < 3, target, HOW, **options)


@pytest.mark.parametrize("kind", ["unreadable", "bands", "empty", "dtype"])
def test_patches_none_of_which_can_be_used_are_never_written(tmp_path: Path, encode: Encode, kind: str) -> None:
    data = {
        "unreadable": b"junk",
        "bands": encode(np.ones((2, 8, 8), np.uint16)),
        "empty": encode(np.zeros((3, 8, 8), np.uint16)),
        "dtype": encode(np.ones((3, 8, 8), np.float64)),
    }[kind]
    root = own(tmp_path / "own", [data] * 12)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"12 of 12 patches for .* that cannot be used"):
            write(root, tmp_path / "new")
        assert not (tmp_path / "new").exists()
        assert not list(tmp_path.rglob("*.tar"))
        assert not list(tmp_path.rglob("manifest.json"))


def test_more_unreadable_patches_than_are_tolerated_stop_the_writing_each_time(tmp_path: Path, encode: Encode) -> None:
    good = encode(np.ones((3, 8, 8), np.uint16))
    root = own(tmp_path / "own", [good] * 10 + [b"junk"] * 2)
    for _ in range(3):
        with pytest.raises(ValueError, match=r"2 of 12 patches for .* that cannot be used: p10.tif, p11.tif"):
            write(root, tmp_path / "new", max_bad_fraction=0.1)
        assert not (tmp_path / "new").exists()
    manifest = write(root, tmp_path / "new", max_bad_fraction=0.2)
    assert (manifest["patches"], manifest["left_out"]) == (10, ["p10.tif", "p11.tif"])


def test_a_shard_that_failed_its_check_is_not_taken_for_one_that_passed(
    tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own(tmp_path / "own", [encode(np.full((3, 8, 8), n + 1, np.uint16)) for n in range(12)])
    monkeypatch.setattr(rewriting, "same_patch", lambda *_: False)
    for _ in range(3):
        with pytest.raises(ValueError, match="does not come back"):
            write(root, tmp_path / "new")
        assert not list(tmp_path.rglob("*.tar"))
    monkeypatch.undo()
    assert write(root, tmp_path / "new")["patches"] == 12


def test_a_writing_does_not_resume_from_other_files_of_the_same_names(
    tmp_path: Path, encode: Encode, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = own(tmp_path / "own", [encode(np.full((3, 8, 8), n + 1, np.uint16)) for n in range(12)])
    monkeypatch.setattr(rewriting, "write_index", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write(root, tmp_path / "new")
    monkeypatch.undo()
    (root / "images" / "p4.tif").write_bytes(encode(np.full((3, 8, 9), 99, np.uint16)))
    with pytest.raises(ValueError, match="was begun with another patches; remove it"):
        write(root, tmp_path / "new")


def test_what_macos_writes_beside_shards_is_no_shard(make_shards: Callable[..., Path]) -> None:
    root = make_shards((5, 6))
    (root / "._shard-000.tar").write_bytes(b"what macOS leaves on exFAT")
    source = DataLocation(root).find()
    assert len(source.names) == 11
    assert not check(root, BANDS, 1)[0].troubles.get("shard")


def test_tiff_files_are_written_the_first_time(
    tmp_path: Path, encode: Encode, project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(1, 3000, (20, 3, 8, 8), np.uint16)
    root = own(tmp_path / "own", [encode(each) for each in pixels], ".tiff")
    script = runpy.run_path(str(project / "scripts" / "write_shards.py"))
    monkeypatch.setattr(sys, "argv", ["write", str(root), str(tmp_path / "out"), "--bands", *BANDS])
    script["main"]()
    said = capsys.readouterr().out
    assert "20 patches" in said
    assert "0 skipped" in said
    assert len((tmp_path / "out" / "index.csv").read_text().splitlines()) == 21
    with pytest.raises(SystemExit, match="out is there already"):
        script["main"]()


def test_shards_without_a_patch_are_no_data_set(tmp_path: Path) -> None:
    root = tmp_path / "none"
    root.mkdir()
    (tmp_path / "notes.txt").write_text("no patch")
    with tarfile.open(root / "a.tar", "w") as tar:
        tar.add(tmp_path / "notes.txt", "notes.txt")
    for text in (None, "lat,lon,fn\n", "lat,lon,fn\n1,2,p.tif\n"):
        if text is not None:
            (root / "index.csv").write_text(text)
        data = S2DataModule(root, bands=BANDS, file_bands=BANDS, image_size=4, batch_size=1)
        with pytest.raises(FileNotFoundError, match=r"not one \*.tif in the shards or files of .*; give a folder"):
            data.setup()
    report, _, _ = check(root, BANDS, 1)
    assert not report.healthy
    assert report.troubles["nothing"] == [(str(root), "0 patches, none of which can be trained on")]


def test_a_folder_of_other_files_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "images" / "sub").mkdir(parents=True)
    (tmp_path / "images" / "sub" / "a.png").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match=r"no \*.tar and no images/\*.tif"):
        DataLocation(tmp_path).find()
    with pytest.raises(FileNotFoundError, match=r"no \*.tar and no images/\*.tif"):
        check(tmp_path, BANDS, 1)


@pytest.mark.parametrize("split", ["random", "block"])
def test_a_single_patch_is_not_split(tmp_path: Path, encode: Encode, split: str) -> None:
    write_shard(tmp_path / "a.tar", [("p.tif", encode(np.ones((3, 8, 8), np.uint16)), 1.0, 2.0)])
    data = S2DataModule(tmp_path, bands=BANDS, file_bands=BANDS, image_size=4, batch_size=1, split=split)
    with pytest.raises(ValueError, match=r"1 patches cannot be split|all 1 patches lie in one block"):
        data.setup()


def test_places_in_shards_that_are_none_are_counted_and_refused(tmp_path: Path, encode: Encode) -> None:
    patch = encode(np.ones((3, 8, 8), np.uint16))
    places = [(float("nan"), 1.0), (0.0, 91.0), *((float(n), float(n)) for n in range(18))]
    write_shard(tmp_path / "a.tar", [(f"p{n}.tif", patch, *place) for n, place in enumerate(places)])
    source = Shards([tmp_path / "a.tar"])
    with pytest.raises(ValueError, match=r"2 of 20 patches in .* without a place .*: p0.tif, p1.tif"):
        place_patches(source, tmp_path, 0.05)
    table = place_patches(source, tmp_path, 0.1)
    assert table.rows.tolist() == list(range(2, 20))
    assert torch.isfinite(table.lonlat[table.rows]).all()
