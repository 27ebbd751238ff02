"""What is written anew is what was there, smaller."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from rasterio.io import MemoryFile

from satclip.data.datamodule import S2DataModule
from satclip.data.prepare import rewrite_shards as rewriting
from satclip.data.prepare.rewrite_shards import Rewriting, recompressed, rewrite, same_patch
from satclip.data.sources.index_csv import read_index
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.shards import Shards
from satclip.data.split.rule import block_split
from satclip.files import HOST

MakeShards = Callable[..., Path]
Encode = Callable[..., bytes]
HOW = Rewriting({"kind": "test"}, ["a", "b", "c"], per_shard=7)


def opened(root: Path) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """A source, its places and all its rows."""
    source = DataLocation(root).find()
    return source, source.lonlat, torch.arange(len(source.names))


def contents(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.suffix != ".json"
    }


def test_real_patches_come_back_bit_for_bit_in_half_the_bytes(s2_patches: Path) -> None:
    before = after = 0
    for path in sorted((s2_patches / "images").glob("*.tif"))[:6]:
        data = path.read_bytes()
        smaller = recompressed(data, 9)
        with MemoryFile(smaller) as file, file.open() as new, rasterio.open(path) as old:
            np.testing.assert_array_equal(new.read(), old.read())
            assert (new.crs, new.transform, new.nodata) == (old.crs, old.transform, old.nodata)
            assert new.profile["compress"] == "zstd"
            assert new.profile["interleave"] == "band"
        before, after = before + len(data), after + len(smaller)
    assert after < 0.56 * before


def test_every_patch_is_written_once_on_its_side_of_the_split_and_mixed(
    make_shards: MakeShards, tmp_path: Path
) -> None:
    source, lonlat, rows = opened(make_shards((9, 11, 3, 17)))
    held_out = block_split(lonlat, 0.3)
    manifest = rewrite(source, lonlat, rows, held_out, tmp_path / "new", HOW)
    written = Shards(sorted((tmp_path / "new").glob("*.tar")))
    assert sorted(written.names) == sorted(source.names)
    expected = {source.names[row] for row in rows[held_out].tolist()}
    assert {name for name, out in zip(written.names, written.held_out.tolist(), strict=True) if out} == expected
    assert set(written.shard_sizes) <= set(range(1, 8))
    assert written.names != sorted(written.names, key=source.names.index)
    for row, name in enumerate(written.names):
        old = source.names.index(name)
        assert same_patch(written.read(row), source.read(old))
        assert torch.equal(written.lonlat[row], lonlat[old])
    assert manifest == json.loads((tmp_path / "new" / "manifest.json").read_text())
    assert (manifest["patches"], manifest["validation"]) == (40, len(expected))
    for shard in manifest["shards"]:
        data = (tmp_path / "new" / shard["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (shard["bytes"], shard["sha256"])
    assert torch.equal(read_index(tmp_path / "new" / "index.csv").lonlat, lonlat)
    assert not (tmp_path / "new.part").exists()


def test_an_interrupted_writing_goes_on_and_ends_the_same(
    make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, lonlat, rows = opened(make_shards((9, 11, 3, 17)))
    held_out = block_split(lonlat, 0.3)
    rewrite(source, lonlat, rows, held_out, tmp_path / "whole", HOW)
    real, calls = rewriting.recompressed, []

    def failing(data: bytes, *options: int) -> bytes:
        calls.append(1)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return real(data, *options)

    monkeypatch.setattr(rewriting, "recompressed", failing)
    with pytest.raises(KeyboardInterrupt):
        rewrite(source, lonlat, rows, held_out, tmp_path / "again", HOW, threads=1)
    assert not (tmp_path / "again").exists()
    done = len(list((tmp_path / "again.part").glob("*.tar")))
    assert done > 0
    with pytest.raises(ValueError, match="begun with another seed; remove it, or resume with those it had"):
        rewrite(source, lonlat, rows, held_out, tmp_path / "again", Rewriting({"kind": "test"}, ["a", "b", "c"], 5, 7))
    calls[:] = [1] * 100
    killed = tmp_path / "again.part" / f".train-00002.tar.{HOST}.999999999.part"
    killed.write_bytes(b"half a shard")
    rewrite(source, lonlat, rows, held_out, tmp_path / "again", HOW, threads=1)
    assert len(calls) - 100 == 40 - 7 * done
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")
    assert not list(tmp_path.rglob(".*"))
    with pytest.raises(FileExistsError, match="is there already"):
        rewrite(source, lonlat, rows, held_out, tmp_path / "again", HOW)


def test_a_patch_that_does_not_come_back_stops_the_writing(
    make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encode: Encode
) -> None:
    source, lonlat, rows = opened(make_shards((9,)))
    monkeypatch.setattr(rewriting, "recompressed", lambda *_: encode(np.zeros((3, 8, 8), np.uint16)))
    with pytest.raises(ValueError, match=r"patch_\d.tif does not come back"):
        rewrite(source, lonlat, rows, rows < 3, tmp_path / "new", HOW)
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "new.part").glob("*.tar"))


def test_an_unreadable_patch_is_left_out_and_listed(
    make_shards: MakeShards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, lonlat, rows = opened(make_shards((9,)))
    read = Shards.read
    monkeypatch.setattr(Shards, "read", lambda self, row: b"junk" if row == 4 else read(self, row))
    manifest = rewrite(source, lonlat, rows, rows < 3, tmp_path / "new", HOW)
    assert manifest["left_out"] == ["patch_4.tif"]
    assert manifest["patches"] == 8
    assert "patch_4.tif" not in read_index(tmp_path / "new" / "index.csv").names


def test_the_script_writes_what_a_run_trains_on_as_it_is(s2_patches: Path, project: Path, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(project / "scripts" / "write_shards.py"), str(s2_patches)]
        return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)

    done = run(
        str(tmp_path / "new"), "--split", "continent", "--continent", "Africa", "--per-shard", "6", "--level", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "20 patches" in done.stdout
    data = S2DataModule(tmp_path / "new", split="stored", batch_size=4, num_workers=0)
    data.setup()
    assert len(data.val_lonlat) > 0
    longitude, latitude = data.val_lonlat.T
    assert ((longitude > -20) & (longitude < 52) & (latitude > -36) & (latitude < 38)).all()
    assert next(iter(data.train_dataloader()))["image"].shape == (4, 12, 256, 256)
    failed = run(str(tmp_path / "other"), "--split", "continent", "--continent", "Atlantis")
    assert failed.returncode == 1
    assert "no patch in --continent Atlantis; there are" in failed.stderr


def test_a_stored_split_needs_shards_that_store_one(make_shards: MakeShards) -> None:
    names = ["a", "b", "c"]
    data = S2DataModule(make_shards((9,)), bands=names, file_bands=names, image_size=4, split="stored")
    with pytest.raises(ValueError, match=r"split=stored needs shards called validation-\*.tar"):
        data.setup()
