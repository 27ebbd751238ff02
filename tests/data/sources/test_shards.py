import json
import os
import pickle
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import webdataset

from satclip.data.sources.locate import DataLocation
from satclip.data.sources.shards import Members, Shards, members, scan, write_shard

SAMPLES = [("patch_1.tif", b"one", 10.5, -3.25), ("patch_2.tif", b"three", -180.0, 90.0)]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset never closes its files
def test_webdataset_reads_what_was_written(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    found = list(webdataset.WebDataset(str(tmp_path / "a.tar"), shardshuffle=False))
    assert [(sample["__key__"], sample["tif"]) for sample in found] == [("patch_1", b"one"), ("patch_2", b"three")]
    assert json.loads(found[0]["json"]) == {"lon": 10.5, "lat": -3.25}


def test_a_shard_is_the_same_bytes_whenever_it_is_written(tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        write_shard(tmp_path / name, SAMPLES)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_samples_are_read_by_offset_with_their_places(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    write_shard(tmp_path / "b.tar", [("patch_9.tif", b"nine", 0.0, 0.0)])
    shards = Shards([tmp_path / "a.tar", tmp_path / "b.tar"])
    assert shards.names == ["patch_1.tif", "patch_2.tif", "patch_9.tif"]
    assert shards.shard_sizes == [2, 1]
    assert [shards.read(row) for row in (2, 0, 1)] == [b"nine", b"one", b"three"]
    assert shards.lonlat.tolist() == [[10.5, -3.25], [-180.0, 90.0], [0.0, 0.0]]


def test_a_shard_as_published_has_folders_and_no_places(tmp_path: Path) -> None:
    (tmp_path / "patch_7.tif").write_bytes(b"seven")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "patch_7.tif", "images/patch_7.tif")
    shards = Shards([tmp_path / "a.tar"])
    assert shards.names == ["patch_7.tif"]
    assert shards.read(0) == b"seven"
    assert shards.lonlat.isnan().all()


def test_the_index_beside_a_shard_is_used_without_opening_the_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = write_shard(tmp_path / "a.tar", SAMPLES)
    monkeypatch.setattr(tarfile, "open", None)
    assert members(tmp_path / "a.tar") == found


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"shard": {}, "members": {}}'])
def test_an_index_that_does_not_fit_is_made_again(tmp_path: Path, damage: str) -> None:
    found, beside = write_shard(tmp_path / "a.tar", SAMPLES), tmp_path / "a.tar.index.json"
    kept = beside.read_text()
    beside.write_text(damage)
    assert members(tmp_path / "a.tar") == found
    assert beside.read_text() == kept


def test_an_index_of_an_older_shard_is_made_again(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    stale = (tmp_path / "a.tar.index.json").read_text()
    write_shard(tmp_path / "a.tar", SAMPLES[1:])
    (tmp_path / "a.tar.index.json").write_text(stale)
    assert members(tmp_path / "a.tar").names == ["patch_2.tif"]


def test_a_folder_that_cannot_be_written_only_costs_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_shard(tmp_path / "a.tar", SAMPLES)
    (tmp_path / "a.tar.index.json").unlink()

    def refuse(*_: object) -> None:
        raise PermissionError("read-only file system")

    monkeypatch.setattr(Path, "replace", refuse)
    assert members(tmp_path / "a.tar").names == ["patch_1.tif", "patch_2.tif"]
    assert "cannot keep" in caplog.text
    assert {path.name for path in tmp_path.iterdir()} == {"a.tar"}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
def test_a_shard_that_is_cut_short_or_no_tar_is_refused(tmp_path: Path, share: float) -> None:
    write_shard(tmp_path / "a.tar", [("patch_1.tif", bytes(50_000), 0.0, 0.0)])
    os.truncate(tmp_path / "a.tar", int(share * 50_000))
    with pytest.raises(ValueError, match=r"a.tar .*fetch or write it again"):
        scan(tmp_path / "a.tar")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> object:
        yield SAMPLES[0]
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        write_shard(tmp_path / "a.tar", failing())
    assert list(tmp_path.iterdir()) == []


def test_an_empty_shard_is_a_shard_of_nothing(tmp_path: Path) -> None:
    assert write_shard(tmp_path / "a.tar", []) == Members()


def test_a_root_without_patches_names_the_three_ways_out(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(FileNotFoundError) as caught:
            DataLocation(root).find()
        for way in ("make data", "dataset=s2_folder dataset.root=", "experiment=blue_marble"):
            assert way in str(caught.value)


def test_many_threads_read_from_more_shards_than_are_kept_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satclip.data.sources.shards.MOST_OPEN", 2)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for number in range(20):
        write_shard(tmp_path / f"{number:02d}.tar", [("a.tif", f"in {number:02d}".encode(), 0.0, 0.0)])
    shards = Shards(sorted(tmp_path.glob("*.tar")))
    opened = Path("/proc/self/fd")
    before = len(list(opened.iterdir())) if opened.exists() else 0
    try:
        with ThreadPoolExecutor(8) as threads:
            rows = [7 * number % 20 for number in range(4000)]
            assert list(threads.map(shards.read, rows)) == [f"in {row:02d}".encode() for row in rows]
    finally:
        sys.setswitchinterval(interval)
    if opened.exists():
        assert len(list(opened.iterdir())) <= before + 10


def test_files_stay_open_and_are_not_handed_to_other_processes(make_shards: Callable[..., Path]) -> None:
    shards = DataLocation(make_shards((3, 3))).find()
    first = shards.read(4)
    copy = pickle.loads(pickle.dumps(shards))
    assert copy.read(4) == first
