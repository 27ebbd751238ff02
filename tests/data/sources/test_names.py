"""A patch of any name is the same patch on every path: folder, shards, stream, rewriting, memory, doctor, web."""

import csv
import io
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.data.batches.loader import Plan
from satclip.data.batches.patches import PatchFormat
from satclip.data.batches.streamed import Stream, patches_of
from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.decode import decode
from satclip.data.prepare.check import check
from satclip.data.prepare.rewrite_shards import Rewriting, rewrite
from satclip.data.sources.cached_shards import CachedShards
from satclip.data.sources.folder import Folder
from satclip.data.sources.index_csv import Index, join, read_index
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.names import is_patch, patch_name, shortest
from satclip.data.sources.places import place_patches
from satclip.data.sources.shards import Shards
from satclip.data.split.rule import random_split

Encode = Callable[..., bytes]
DECOMPOSED = unicodedata.normalize("NFD", "köln.tif")
FILES = [
    "a.tif", "b.tiff", "C.TIF", "D.TIFF", "a.b.c.tif", "with space.tif", "münchen é.tif", DECOMPOSED, "100%25.tif",
    ".leading.tif", "sub/a.tif", "sub/deeper/b.2.tiff", "a.tiff", "-dash.tif", "{1..2}.tif", "quote'\".tif",
]  # fmt: skip
NAMES = {patch_name(name) for name in FILES}
BANDS = ["a", "b", "c"]


@pytest.fixture
def folder(tmp_path: Path, encode: Encode) -> Path:
    """Patch n of FILES is filled with n + 1; index.csv names the decomposed one composed."""
    root = tmp_path / "own"
    for number, name in enumerate(FILES):
        path = root / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(np.full((3, 8, 8), number + 1, np.uint16)))
    (root / "images" / "._a.tif").write_bytes(b"what macOS leaves on exFAT")
    (root / "images" / "notes.txt").write_text("no patch")
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["lat", "lon", "fn"])
        for number, name in enumerate(FILES):
            writer.writerow([number, 2 * number, unicodedata.normalize("NFC", name)])
    return root


@pytest.fixture
def tar(folder: Path) -> Path:
    """The same files as `tar cf` would put them together."""
    with tarfile.open(folder.parent / "patches.tar", "w") as file:
        file.add(folder / "images", "./images")
    return folder.parent / "patches.tar"


def pixels(data: bytes) -> int:
    """What a patch is filled with."""
    return int(decode(data, bands=3)[0, 0, 0])


def values(source: Any) -> dict[str, int]:
    """The value that each patch is filled with, by its name."""
    found = {name: pixels(source.read(row)) for row, name in enumerate(source.names)}
    assert len(found) == len(source.names)
    return found


EXPECTED = {patch_name(name): number + 1 for number, name in enumerate(FILES)}


def rewritten(folder: Path, target: Path) -> Path:
    source = DataLocation(folder).find()
    table = place_patches(source, folder, 0.0)
    rewrite(source, table.lonlat, table.rows, table.rows % 3 == 0, target, Rewriting({}, BANDS, per_shard=5))
    return target


def test_folder_tar_stream_web_and_rewriting_give_the_same_patches(folder: Path, tar: Path, tmp_path: Path) -> None:
    assert values(Folder(folder / "images")) == EXPECTED
    assert values(Shards([tar])) == EXPECTED
    assert {name: pixels(data) for name, data in patches_of(str(tar))} == EXPECTED
    assert values(CachedShards([f"file:{tar}"], tmp_path / "cache", 1.0)) == EXPECTED
    new = rewritten(folder, tmp_path / "new")
    source = DataLocation(new).find()
    assert values(source) == EXPECTED
    streamed = {name: pixels(data) for path in new.glob("*.tar") for name, data in patches_of(str(path))}
    assert streamed == EXPECTED
    assert set(read_index(new / "index.csv").names) == NAMES
    (new / "index.csv").unlink()
    assert place_patches(source, new, 0.0).lonlat[:, 0].tolist() == [2.0 * (EXPECTED[n] - 1) for n in source.names]


@pytest.mark.parametrize("memory", [False, True])
def test_what_trains_is_the_same_from_a_folder_and_from_shards(folder: Path, tmp_path: Path, memory: bool) -> None:
    seen = []
    for root in (folder, rewritten(folder, tmp_path / "new")):
        data = S2DataModule(
            root, bands=BANDS, file_bands=BANDS, image_size=8, batch_size=1, num_workers=0, split="random",
            val_fraction=0.3, keep_in_memory=memory, max_bad_fraction=0.0,
        )  # fmt: skip
        data.setup()
        loaders = (data.train_dataloader(), data.val_dataloader())
        seen.append([{(int(b["image"][0, 0, 0, 0]), *b["lonlat"][0].tolist()) for b in loader} for loader in loaders])
    assert seen[0] == seen[1]
    assert set().union(*seen[0]) == {(n + 1, 2.0 * n, float(n)) for n in range(len(FILES))}


def test_the_doctor_misses_none_of_them(folder: Path, tmp_path: Path) -> None:
    for root in (folder, rewritten(folder, tmp_path / "new")):
        report, source, _ = check(root, BANDS, 1)
        assert not report.troubles.get("missing")
        assert not report.troubles.get("unlisted")
        assert not report.troubles.get("unreadable")
        assert set(source.names) == NAMES


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("images/a.tif", "a.tif"),
        ("./images/s/a.tif", "s/a.tif"),
        ("../../etc/a.tif", "etc/a.tif"),
        ("/root/a.tif", "root/a.tif"),
        ("images\\s\\a.tif", "s/a.tif"),
        (DECOMPOSED, "köln.tif"),
        ("images", "images"),
    ],
)
def test_a_name_is_composed_and_leads_nowhere(path: str, name: str) -> None:
    assert patch_name(path) == name


def test_what_is_a_patch() -> None:
    assert all(map(is_patch, FILES))
    assert not any(map(is_patch, ["a.png", ".tif", "s/.TIFF", "._a.tif", "s/._a.tif", "a.tif.aux.xml", "a.tif/", ""]))


def test_two_patches_of_one_name_are_one_too_many(folder: Path, tar: Path, tmp_path: Path) -> None:
    (tmp_path / "twice").mkdir()
    for name in ("one.tar", "two.tar"):
        (tmp_path / "twice" / name).write_bytes(tar.read_bytes())
    source = DataLocation(tmp_path / "twice").find()
    (tmp_path / "twice" / "index.csv").write_bytes((folder / "index.csv").read_bytes())
    with pytest.raises(ValueError, match=r"16 of 32 patches in .* of a name that another one has: "):
        place_patches(source, tmp_path / "twice", 0.1)
    table = place_patches(source, tmp_path / "twice", 0.6)
    assert table.rows.tolist() == list(range(16))
    assert table.left_out["repeated"] == 16


def test_folders_are_left_aside_where_the_file_name_is_enough() -> None:
    index = Index(["x.tif", "s/y.tif", "t/y.tif"], torch.zeros(3, 2, dtype=torch.float64))
    found = join(["deep/down/x.tif", "s/y.tif", "elsewhere/y.tif"], index)
    assert found.pairs.tolist() == [[0, 0], [1, 1]]
    assert (found.unlisted, found.absent) == (["elsewhere/y.tif"], ["t/y.tif"])


def test_the_random_split_is_by_file_name_as_long_as_those_differ() -> None:
    names = [f"patch_{number}.tif" for number in range(200)]
    assert torch.equal(random_split([f"s/{name}" for name in names], 0.2), random_split(names, 0.2))
    nested = [f"place_{number}/image.tif" for number in range(200)]
    assert shortest(nested) == nested
    assert 10 < int(random_split(nested, 0.2).sum()) < 80


def test_a_file_name_that_is_no_text_is_refused_by_name(folder: Path) -> None:
    path = bytes(folder / "images") + b"/caf\xe9.tif"
    Path(path.decode("utf-8", "surrogateescape")).write_bytes(b"x")
    with pytest.raises(ValueError, match=r"names that are not UTF-8: 'caf\\udce9.tif'; rename"):
        Folder(folder / "images")


def test_masks_beside_patches_are_not_passed_over_in_silence(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "images" / "a.tif.msk").write_bytes(b"")
    Folder(folder / "images")
    assert "masks beside the patches (*.msk) are not read" in caplog.text


def test_places_before_and_behind_their_patch_and_two_suffixes_of_one_stem(tmp_path: Path, encode: Encode) -> None:
    data = encode(np.ones((3, 8, 8), np.uint16))
    members = [
        ("p.json", b'{"lon": 1, "lat": 2}'), ("p.tif", data), ("q.TIFF", data), ("q.json", b'{"lon": 3.5, "lat": 4}'),
        ("p.tiff", data), ("p.json", b'{"lon": 5, "lat": 6}'), ("r.tif", data), ("r.json", b'["no place"]'),
        ("s.tif", data), ("s.json", b'{"lon": "1", "lat": true}'), ("t.json", b"[" * 60_000), ("t.tif", data),
    ]  # fmt: skip
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    found = Shards([tmp_path / "a.tar"])
    assert found.names == ["p.tif", "q.TIFF", "p.tiff", "r.tif", "s.tif", "t.tif"]
    assert found.lonlat[:3].tolist() == [[1, 2], [3.5, 4], [5, 6]]
    assert found.lonlat[3:].isnan().all()


def test_a_stream_finds_patches_by_file_name_as_shards_do(tmp_path: Path, encode: Encode) -> None:
    def build(names: list[str]) -> str:
        path = tmp_path / f"{len(names)}.tar"
        with tarfile.open(path, "w") as tar:
            for number, name in enumerate(names):
                info, data = tarfile.TarInfo(name), encode(np.full((3, 8, 8), number + 1, np.uint16))
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return str(path)

    index = Index([f"p{number}.tif" for number in range(4)], torch.zeros(4, 2, dtype=torch.float64))
    form, plan = PatchFormat(3, (0, 1, 2), (8, 8), "uint16"), Plan(4, 0, 1, 0)
    url = build([f"s2/tile/p{number}.tif" for number in range(4)])
    batch = next(iter(Stream([url], index, torch.arange(4), form, plan, shuffle=False)))
    assert batch["id"].tolist() == [0, 1, 2, 3]
    assert batch["image"][:, 0, 0, 0].tolist() == [1, 2, 3, 4]
    url = build(["a/p0.tif", "b/p0.tif", "a/p1.tif", "a/p2.tif", "a/p3.tif"])
    stream = iter(Stream([url], index, torch.arange(4), form, plan, shuffle=False))
    with pytest.raises(LookupError, match=r"means a/p0.tif or b/p0.tif by p0.tif; give their folders"):
        next(stream)
