"""Shards behind a web server on this machine, which breaks, stalls and refuses as real ones do."""

import io
import tarfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from satclip.data.batches.loader import Plan
from satclip.data.datamodule import S2DataModule
from satclip.data.sources import web
from satclip.data.sources.cached_shards import CachedShards
from satclip.data.sources.download import Command, fetch, opened
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.shards import INDEX_SUFFIX, Shards
from satclip.data.sources.web import fetch_part

MakeShards = Callable[..., Path]
SIZES = (9, 11, 3, 17)
Server = Any  # see conftest.py


def test_a_file_comes_whole(server: Server, blob: bytes, tmp_path: Path) -> None:
    fetch(f"{server.url}/blob", tmp_path / "here" / "blob")
    assert (tmp_path / "here" / "blob").read_bytes() == blob
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["blob"]


def test_a_connection_that_breaks_goes_on_after_the_last_byte(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.break_after = 150_000
    fetch(f"{server.url}/blob", tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    assert server.asked["blob"] == 7
    assert server.sent == len(blob)


def test_a_server_without_parts_that_breaks_once_is_read_again(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, 150_000
    with opened(f"{server.url}/blob") as stream:
        start = stream.read(1000)
        server.break_after = 0
        assert start + stream.read() == blob


def test_a_server_that_always_breaks_at_once_is_given_up(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, 1
    with pytest.raises(OSError, match="is the network up"):
        fetch(f"{server.url}/blob", tmp_path / "blob")
    assert not (tmp_path / "blob").exists()
    assert not list(tmp_path.glob(".blob*"))


def test_a_stalled_answer_is_asked_for_again(
    server: Server, blob: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.3)
    server.stall = 1.0
    fetch(f"{server.url}/blob", tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    assert server.asked["blob"] == 2


def test_a_server_that_is_slow_but_never_silent_is_waited_for(
    server: Server, blob: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web, "TIMEOUT", 0.5)
    server.pause = 0.1  # eleven times
    fetch(f"{server.url}/blob", tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    assert server.asked["blob"] == 1


def test_a_busy_server_is_asked_again(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.errors = 2
    fetch(f"{server.url}/blob", tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob


def test_what_is_not_there_is_said_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"the server has no such file \(404\); check dataset.urls"):
        fetch(f"{server.url}/nothing", tmp_path / "nothing")
    assert server.asked["nothing"] == 1
    with pytest.raises(FileNotFoundError, match="404"):
        fetch_part(f"{server.url}/nothing", 0, 10)


def test_an_address_nobody_answers_at_is_given_up(server: Server, tmp_path: Path) -> None:
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(OSError, match="is the network up"):
        fetch(f"{server.url}/blob", tmp_path / "blob")


def test_parts_come_from_anywhere_and_end_at_the_end(server: Server, blob: bytes) -> None:
    assert fetch_part(f"{server.url}/blob", 500, 20) == blob[500:520]
    assert fetch_part(f"{server.url}/blob", len(blob) - 5, 20) == blob[-5:]
    assert fetch_part(f"{server.url}/blob", len(blob) + 5, 20) == b""
    server.ranges = False
    assert fetch_part(f"{server.url}/blob", 500, 20) is None


def test_a_command_is_read_through_its_pipe_and_its_failure_told(blob: bytes, server: Server, tmp_path: Path) -> None:
    fetch(Command(f"pipe:cat {server.root}/blob"), tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    with pytest.raises(OSError, match=r"ended with 3"):
        fetch(Command("pipe:echo some; exit 3"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def serve(
    server: Server, make_shards: MakeShards, sizes: tuple[int, ...] = SIZES, **options: Any
) -> tuple[Path, list[str]]:
    """Shards on the server, and the same ones locally."""
    local = make_shards(sizes, **options)
    for path in local.iterdir():
        (server.root / path.name).write_bytes(path.read_bytes())
    return local, [f"{server.url}/{path.name}" for path in sorted(local.glob("*.tar"))]


def module(root: Path, **options: Any) -> S2DataModule:
    names = ["a", "b", "c"]
    defaults = {"image_size": 4, "batch_size": 6, "num_workers": 0, "split": "random", "val_fraction": 0.2}
    data = S2DataModule(root, bands=names, file_bands=names, **{"shuffle_window": 2, **defaults, **options})
    data.prepare_data()
    data.setup()
    return data


def batches(data: S2DataModule) -> list[list[Any]]:
    loaders = (data.train_dataloader(), data.val_dataloader())
    return [[(b["id"].tolist(), b["image"][:, 0, 0, 0].tolist()) for b in loader] for loader in loaders]


@pytest.mark.parametrize("beside", ["index beside", "heads", "whole"])
@pytest.mark.parametrize("workers", [0, 2])
def test_shards_from_afar_give_the_batches_of_local_ones(
    server: Server, make_shards: MakeShards, tmp_path: Path, beside: str, workers: int
) -> None:
    local, urls = serve(server, make_shards)
    if beside != "index beside":
        for path in server.root.glob(f"*{INDEX_SUFFIX}"):
            path.unlink()
    server.ranges = beside != "whole"
    data = module(tmp_path / "far", urls=f"{server.url}/shard-{{000..003}}.tar", num_workers=workers)
    assert batches(data) == batches(module(local))
    assert all(server.asked[url.rsplit("/", 1)[1]] for url in urls)


@pytest.mark.parametrize("cache", ["empty", "filled"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_restart_in_mid_epoch_goes_on_from_afar_and_fetches_only_what_comes_next(
    server: Server, make_shards: MakeShards, tmp_path: Path, workers: int, cache: str
) -> None:
    local, urls = serve(server, make_shards, (20, 20, 20, 20))
    whole = module(local, shuffle_window=1).collection.train_loader(Plan(6, 0, 1, 0))
    whole.sampler.set_epoch(1)
    came = [(batch["id"].tolist(), batch["image"].tolist()) for batch in whole]
    data = module(tmp_path / "far", urls=urls, shuffle_window=1, num_workers=workers)
    source = data.collection.source
    assert isinstance(source, CachedShards)
    source.close()  # a shard that the setup has read from is open, and needs no fetching
    if cache == "empty":
        for path in source.paths:
            path.unlink(missing_ok=True)
    server.asked.clear()
    start = 7
    rest = data.collection.train_loader(Plan(6, 0, 1, workers, start=(1, start)))
    assert [(batch["id"].tolist(), batch["image"].tolist()) for batch in rest] == came[start:]
    needed = set(source.shard_of[[row for rows, _ in came[start:] for row in rows]].tolist())
    assert 0 < len(needed) < len(urls)
    fetched = {urls.index(f"{server.url}/{name}") for name in server.asked}
    assert fetched == (needed if cache == "empty" else set())


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("sizes", [SIZES, (31, 9)], ids=["unequal", "fewer than ranks"])
@pytest.mark.parametrize("workers", [0, 1, 4])
def test_three_ranks_at_once_share_a_cache_and_make_the_batches_of_one(
    server: Server, make_shards: MakeShards, tmp_path: Path, sizes: tuple[int, ...], workers: int
) -> None:
    local, urls = serve(server, make_shards, sizes=sizes)
    whole = module(local)
    room = (1 + sum(sorted(path.stat().st_size for path in local.glob("*.tar"))[-2:])) / 2**30  # two shards
    far = [module(tmp_path / "far", urls=urls, shuffle_window=1, cache_gib=room) for _ in range(3)]
    loaders = []
    for rank, data in enumerate(far):
        plan = Plan(batch_size=6, seed=0, window=1, workers=workers, rank=rank, world_size=3)
        loaders.append((data.collection.train_loader(plan), data.collection.val_loader(plan)))
    alone = whole.collection.train_loader(Plan(batch_size=6, seed=0, window=1, workers=0))
    expected = [(b["id"].tolist(), b["image"][:, 0, 0, 0].tolist()) for b in alone]
    for _ in range(2):  # the second epoch finds a cache that is full of what it may not need
        train, validation = (list(zip(*(pair[part] for pair in loaders), strict=True)) for part in (0, 1))
        found = [
            (list(chain(*(b["id"].tolist() for b in parts))), list(chain(*(b["image"][:, 0, 0, 0] for b in parts))))
            for parts in train
        ]
        assert found == expected
        seen = sorted(row for parts in validation for b in parts for row in b["id"].tolist())
        assert seen == whole.collection.val_rows.tolist()


def test_an_index_in_memory_of_the_whole_is_not_needed_twice(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    _, urls = serve(server, make_shards)
    module(tmp_path / "far", urls=urls)
    server.asked.clear()
    CachedShards(urls, tmp_path / "far" / "cache", 1.0, renew=False)
    assert not server.asked
    server.sent = 0
    CachedShards(urls, tmp_path / "far" / "cache", 1.0)
    assert server.sent == len(urls)  # a byte of each, to learn whether it has changed


def test_places_come_from_the_index_above_the_shards(server: Server, make_shards: MakeShards, tmp_path: Path) -> None:
    local = make_shards(SIZES)
    (server.root / "data").mkdir()
    for number, path in enumerate(sorted(local.glob("*.tar"))):
        (server.root / "data" / path.name).write_bytes(without_places(path, number))
    (server.root / "index.csv").write_bytes((local / "index.csv").read_bytes())
    data = module(tmp_path / "far", urls=f"{server.url}/data/shard-{{000..003}}.tar")
    assert data.train_lonlat.equal(module(local).train_lonlat)


def without_places(path: Path, number: int) -> bytes:
    """The shard as the hub has it: GeoTIFFs only."""
    found, out = Shards([path]), io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for row, name in enumerate(found.names):
            info, data = tarfile.TarInfo(name), found.read(row)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def test_the_cache_keeps_to_its_limit_and_fetches_again_what_it_dropped(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    local, urls = serve(server, make_shards)
    sizes = {path.name: path.stat().st_size for path in local.glob("*.tar")}
    limit = sum(sorted(sizes.values())[-2:]) + 1
    cached = CachedShards(urls, tmp_path / "cache", limit / 2**30)
    known = Shards(sorted(local.glob("*.tar")))
    for row in (0, 10, 21, 30, 1, 11, 22, 39):
        assert cached.read(row) == known.read(row)
        cached.close()
        assert sum(path.stat().st_size for path in (tmp_path / "cache").glob("*.tar")) <= limit
    assert sum(server.asked[name] for name in sizes) > len(sizes)
    kept = {path.name.split("-", 1)[1] for path in (tmp_path / "cache").glob("*.tar")}
    assert "shard-003.tar" in kept


def test_a_cache_too_small_for_the_shards_that_are_mixed_is_refused(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    _, urls = serve(server, make_shards)
    with pytest.raises(ValueError, match=r"cache_gib=1e-05 cannot hold .* give dataset.cache_gib=1 or less"):
        CachedShards(urls, tmp_path / "cache", 1e-5, window=2)


def test_shards_are_fetched_before_they_are_needed(server: Server, make_shards: MakeShards, tmp_path: Path) -> None:
    _, urls = serve(server, make_shards)
    cached = CachedShards(urls, tmp_path / "cache", 1.0)
    cached.prefetch([0, 21, 39])
    deadline = time.monotonic() + 10
    while len(list((tmp_path / "cache").glob("*.tar"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    server.http.shutdown()
    assert cached.read(0)
    assert cached.read(21)
    assert cached.read(39)
    cached.close()


def test_a_shard_that_changed_at_its_address_is_not_mistaken(
    server: Server, make_shards: MakeShards, tmp_path: Path
) -> None:
    _, urls = serve(server, make_shards)
    cached = CachedShards(urls, tmp_path / "cache", 1.0)
    (server.root / "shard-000.tar").write_bytes(bytes(10_240))
    with pytest.raises(OSError, match="is not the shard that was indexed; remove"):
        cached.read(0)


def test_a_missing_shard_stops_the_start(server: Server, make_shards: MakeShards, tmp_path: Path) -> None:
    serve(server, make_shards)
    with pytest.raises(FileNotFoundError, match=r"shard-004.tar: the server has no such file"):
        DataLocation(tmp_path / "far", [f"{server.url}/shard-{{000..004}}.tar"], cache_gib=1.0).find()


def test_brace_patterns_of_local_files_and_pipes_work(make_shards: MakeShards, tmp_path: Path) -> None:
    local = make_shards(SIZES)
    expected = batches(module(local))
    assert batches(module(local, urls=f"{local}/shard-{{000..003}}.tar")) == expected
    pipes = module(tmp_path / "far", urls=f"pipe:cat {local}/shard-{{000..003}}.tar")
    assert batches(pipes) == expected
    with pytest.raises(FileNotFoundError, match=r"no .*shard-008.tar, .*shard-009.tar; check dataset.urls"):
        module(local, urls=f"{local}/shard-{{008..009}}.tar")


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [0, 2, 4])
def test_a_stream_fills_every_batch_with_what_belongs_in_it(
    server: Server, make_shards: MakeShards, tmp_path: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    local, _ = serve(server, make_shards)
    data = module(
        tmp_path / "far", urls=f"{server.url}/shard-{{000..003}}.tar", num_workers=workers, cache_gib=0, batch_size=4
    )
    assert "the order depends on the number of processes and workers" in caplog.text
    assert not list((tmp_path / "far").rglob("*.tar"))
    expected = module(local)
    train, validation = data.train_dataloader(), data.val_dataloader()
    assert len(train) == len(data.collection.train_rows) // 4
    orders = []
    for _ in range(2):
        found = [(b["id"].tolist(), b["image"][:, 0, 0, 0].tolist()) for b in train]
        assert len(found) == len(train)
        assert all(pixels == [row + 1 for row in ids] and len(ids) == 4 for ids, pixels in found)
        orders.append(list(chain(*(ids for ids, _ in found))))
        assert set(orders[-1]) <= set(expected.collection.train_rows.tolist())
        assert len(set(orders[-1])) > 12
    assert orders[0] != orders[1]
    seen = [list(chain(*(b["id"].tolist() for b in validation))) for _ in range(2)]
    assert seen[0] == seen[1]
    assert set(seen[0]) <= set(expected.collection.val_rows.tolist())
    sample = data.validation_sample(5)
    assert len(sample["id"]) == 5


def test_a_stream_outlives_a_shard_that_breaks_but_not_all_of_them(
    server: Server, make_shards: MakeShards, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, _ = serve(server, make_shards)
    data = module(tmp_path / "far", urls=f"{server.url}/shard-{{000..003}}.tar", cache_gib=0, batch_size=4)
    (server.root / "shard-001.tar").write_bytes(b"no tar at all" * 100)
    (server.root / "shard-002.tar").unlink()
    assert len(list(data.train_dataloader())) == len(data.train_dataloader())
    assert "shard-001.tar broke off" in caplog.text
    assert "shard-002.tar: the server has no such file" in caplog.text
    for path in server.root.glob("*.tar"):
        path.unlink()
    with pytest.raises(OSError, match=r"no shard gives a single patch:\n  .*no such file"):
        list(data.train_dataloader())


def test_a_stream_without_an_index_says_what_it_needs(make_shards: MakeShards, tmp_path: Path) -> None:
    local = make_shards(SIZES)
    with pytest.raises(FileNotFoundError, match=r"a stream needs .*index.csv .* or give dataset.cache_gib=50"):
        module(tmp_path / "far", urls=f"pipe:cat {local}/shard-{{000..003}}.tar", cache_gib=0)


def test_without_shards_and_network_the_three_ways_out_are_named_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(FileNotFoundError) as caught:
        module(tmp_path / "s2_100k", hub="torchgeo/s2-100k")
    assert time.monotonic() - start < 5
    for way in ("does not answer", "make data", "dataset=s2_folder dataset.root=", "experiment=blue_marble"):
        assert way in str(caught.value)
