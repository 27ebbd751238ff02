"""What is kept of something elsewhere knows what it is of, and is renewed when that changes."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from satclip.data.prepare.blue_marble import write_blue_marble
from satclip.data.prepare.blue_marble_patches import Recipe
from satclip.data.sources import huggingface, web
from satclip.data.sources.cached_shards import CachedShards
from satclip.data.sources.download import opened
from satclip.data.sources.huggingface import check_file_name, hub_shards
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.places import place_patches
from satclip.data.sources.shards import INDEX_SUFFIX, Shards, members, write_shard

MakeShards = Callable[..., Path]
Encode = Callable[..., bytes]
Server = Any  # see conftest.py
NAME = "me/other-patches"
GOOD = {
    "endpoint": "http://127.0.0.1:9", "repository": NAME, "revision": "b" * 40, "names": ["d/a.tar"], "digests": ["1"]
}  # fmt: skip


class Api:
    """Answers as the hub's does; `listed` are (name, checksum)."""

    listed: tuple[tuple[str, str], ...] = (("data/a.tar", "1" * 64), ("data/b.tar", "2" * 64), ("README.md", ""))
    sha = "a" * 40

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def dataset_info(self, repository: str, *, files_metadata: bool) -> Any:
        assert files_metadata
        siblings = [
            SimpleNamespace(rfilename=name, lfs=SimpleNamespace(sha256=sha) if sha else None)
            for name, sha in self.listed
        ]
        return SimpleNamespace(sha=self.sha, siblings=siblings)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> type[Api]:
    class Mine(Api):
        pass

    monkeypatch.setattr("huggingface_hub.HfApi", Mine)
    monkeypatch.setattr(huggingface, "require_hub", lambda: None)
    return Mine


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    "kept",
    [
        ["https://huggingface.co/datasets/torchgeo/s2-100k/resolve/main/a.tar"],
        ["pipe:touch pwned"],
        GOOD | {"repository": "torchgeo/s2-100k"},
        GOOD | {"names": ["pipe:touch pwned"]},
        GOOD | {"names": ["../../a.tar"]},
        GOOD | {"names": [7]},
        GOOD | {"digests": []},
        GOOD | {"endpoint": "http://elsewhere"},
        GOOD | {"urls": ["pipe:touch pwned"]},
        "torn",
    ],
)  # fmt: skip
def test_a_list_of_another_data_set_or_of_no_names_is_not_used(tmp_path: Path, kept: Any) -> None:
    (tmp_path / "hub.json").write_text(json.dumps(kept)[: None if kept != "torn" else 3])
    with pytest.raises(OSError, match="does not answer"):
        hub_shards(NAME, tmp_path / "hub.json")


@pytest.mark.usefixtures("offline")
def test_a_list_of_this_data_set_serves_where_the_hub_does_not_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hub.json").write_text(json.dumps(GOOD))
    found = hub_shards(NAME, tmp_path / "hub.json")
    (url,) = found.urls
    assert url.endswith(f"/datasets/{NAME}/resolve/{'b' * 40}/d/a.tar")
    assert f"using the list of {NAME} at revision bbbbbbbbbbbb" in caplog.text


def test_a_new_revision_renews_the_list_and_only_what_has_changed(tmp_path: Path, api: type[Api]) -> None:
    first = hub_shards(NAME, tmp_path / "c" / "hub.json")
    assert first.names == ["data/a.tar", "data/b.tar"]
    api.sha, api.listed = "c" * 40, (("data/a.tar", "1" * 64), ("data/b.tar", "3" * 64))
    assert hub_shards(NAME, tmp_path / "c" / "hub.json", renew=False) == first
    second = hub_shards(NAME, tmp_path / "c" / "hub.json")
    assert all("c" * 40 in url for url in second.urls)
    assert second.keys[0] == first.keys[0]
    assert second.keys[1] != first.keys[1]
    assert hub_shards("me/third", tmp_path / "c" / "hub.json", renew=False).repository == "me/third"


@pytest.mark.parametrize(
    "name",
    ["../../x.tar", "/etc/x.tar", "a//x.tar", "a/./x.tar", "http://h/x.tar", "a\\..\\x.tar", "x\0.tar", "", "a\n.tar"],
)  # fmt: skip
def test_a_listing_leads_to_no_other_place(tmp_path: Path, api: type[Api], name: str) -> None:
    with pytest.raises(OSError, match="is no name of a file in a folder"):
        check_file_name(name)
    if name.endswith(".tar"):
        api.listed = (("data/a.tar", ""), (name, ""))
        with pytest.raises(OSError, match="is no name of a file in a folder"):
            hub_shards(NAME, tmp_path / "hub.json")
        assert not (tmp_path / "hub.json").exists()


def served(server: Server, make_shards: MakeShards, name: str = "one", **options: Any) -> list[str]:
    local = make_shards((5, 6), name=name, **options)
    for path in sorted(local.glob("*.tar")):
        (server.root / path.name).write_bytes(path.read_bytes())
    (server.root / "index.csv").write_bytes((local / "index.csv").read_bytes())
    server.marks = True
    return [f"{server.url}/shard-{number:03d}.tar" for number in range(2)]


def test_a_shard_that_changed_at_its_address_is_fetched_again(
    server: Server, make_shards: MakeShards, tmp_path: Path, encode: Encode, caplog: pytest.LogCaptureFixture
) -> None:
    urls = served(server, make_shards)
    old = CachedShards(urls, tmp_path / "cache", 1.0)
    before = [old.read(row) for row in range(11)]
    patch = encode(np.full((3, 8, 8), 77, np.uint16))
    write_shard(tmp_path / "new.tar", [(f"new_{n}.tif", patch, 1.0, 2.0) for n in range(5)])
    (server.root / "shard-000.tar").write_bytes((tmp_path / "new.tar").read_bytes())
    kept = CachedShards(urls, tmp_path / "cache", 1.0, renew=False)
    assert [kept.read(row) for row in range(11)] == before
    server.sent = 0
    new = CachedShards(urls, tmp_path / "cache", 1.0)
    assert new.names == [f"new_{n}.tif" for n in range(5)] + old.names[5:]
    assert [new.read(row) for row in range(11)] == [patch] * 5 + before[5:]
    assert "shard-000.tar has changed at its address" in caplog.text
    assert "shard-001.tar has changed" not in caplog.text
    assert old.state() != new.state()


def test_without_a_network_what_is_kept_is_used_and_that_is_said(
    server: Server, make_shards: MakeShards, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    urls = served(server, make_shards)
    old = CachedShards(urls, tmp_path / "cache", 1.0)
    before = [old.read(row) for row in range(11)]
    server.http.shutdown()
    server.http.server_close()
    for pool in web._pools.values():
        pool.clear()
    again = CachedShards(urls, tmp_path / "cache", 1.0)
    assert [again.read(row) for row in range(11)] == before
    assert caplog.text.count("using what is kept of it") == 2


def test_a_shard_that_changes_while_it_is_fetched_is_not_put_together_of_two(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    urls = served(server, make_shards)
    whole = (server.root / "shard-000.tar").read_bytes()
    server.break_after = 4000
    with opened(urls[0]) as stream:
        stream.raw.read(3000)
        (server.root / "shard-000.tar").write_bytes(whole[::-1])
        with pytest.raises(OSError, match="changed while it was read"):
            stream.read()


def test_an_index_that_was_fetched_with_one_data_set_is_not_used_for_another(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    places = []
    for name in ("one", "two"):
        urls = served(server, make_shards, name)
        (server.root / name).mkdir()
        for path in [*server.root.glob("*.tar"), server.root / "index.csv"]:
            path.rename(server.root / name / path.name)
        if name == "two":
            text = (server.root / name / "index.csv").read_text().splitlines()
            (server.root / name / "index.csv").write_text(
                "\n".join(text[:1] + [f"1,2,patch_{n}.tif" for n in range(11)])
            )
        moved = [url.replace("/shard", f"/{name}/shard") for url in urls]
        source = DataLocation(root, moved, cache_gib=1.0).find()
        source.lonlat[:] = torch.nan  # as the hub's shards, which carry no places
        index = DataLocation(root, moved, cache_gib=1.0)._index(moved[0], True)
        source.index = index
        places.append(place_patches(source, root, 0.0).lonlat)
    assert not torch.equal(*places)
    assert places[1].unique(dim=0).tolist() == [[2.0, 1.0]]
    assert not (root / "index.csv").exists()
    (server.root / "two" / "index.csv").write_text("lat,lon,fn\n" + "\n".join(f"3,4,patch_{n}.tif" for n in range(11)))
    source.index = DataLocation(root, moved, cache_gib=1.0)._index(moved[0], True)
    assert place_patches(source, root, 0.0).lonlat.unique(dim=0).tolist() == [[4.0, 3.0]]


def test_the_limit_of_a_cache_counts_what_other_addresses_left_there(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    urls = served(server, make_shards)
    (tmp_path / "cache").mkdir()
    left = tmp_path / "cache" / "0000000000-old.tar"
    left.write_bytes(bytes(200_000))
    os.utime(left, (1, 1))
    size = sum(path.stat().st_size for path in server.root.glob("*.tar"))
    cached = CachedShards(urls, tmp_path / "cache", (size + 1) / 2**30)
    assert cached.read(0)
    assert not left.exists()


def test_an_index_beside_a_shard_that_changed_is_made_anew(make_shards: MakeShards) -> None:
    root = make_shards((5, 6))
    one, two = sorted(root.glob("*.tar"))
    members(one)
    one.write_bytes(two.read_bytes())
    assert Shards([one]).names == Shards([two]).names
    beside = one.with_name(one.name + INDEX_SUFFIX)
    kept = json.loads(beside.read_text())
    kept["version"] = 1
    kept["members"]["names"] = ["old.tif"] * 6
    beside.write_text(json.dumps(kept))
    assert Shards([one]).names == Shards([two]).names


def test_blue_marble_is_written_again_where_a_shard_is_gone_or_the_manifest_is_torn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root, recipe = tmp_path / "bm", Recipe(places=12, patch_size=8, kilometres_per_pixel=20.0)
    write_blue_marble(root, recipe)
    whole = (root / "shard-00000.tar").read_bytes()
    (root / "shard-00000.tar").unlink()
    write_blue_marble(root, recipe)
    assert (root / "shard-00000.tar").read_bytes() == whole
    (root / "manifest.json").write_text("{")
    write_blue_marble(root, recipe)
    assert json.loads((root / "manifest.json").read_text())["places"] == 12
    assert caplog.text.count("writing it again") == 2
