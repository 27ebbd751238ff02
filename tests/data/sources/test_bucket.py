"""Buckets, behind a server on this machine that breaks, stalls and refuses as real ones do."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from satclip.data.sources import bucket
from satclip.data.sources.cached_shards import CachedShards
from satclip.data.sources.download import fetch, fetch_part, look, opened
from satclip.data.sources.locate import DataLocation
from satclip.data.sources.shards import INDEX_SUFFIX, Shards

MakeShards = Callable[..., Path]
Server = Any  # see conftest.py
SECRET = "TheSecretKey"
NAMES = {
    "s3": "s3://box/deep/it's 100% ä+?#.tar",
    "gs": "gs://box/deep/it's 100% ä+?#.tar",
    "az": "az://box/deep/it's 100% ä+?#.tar",
}


@pytest.fixture(autouse=True)
def _bucket(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server.marks, server.says = True, {"Last-Modified": "Thu, 26 Nov 2026 12:00:00 GMT"}
    for name in [name for name in os.environ if name.split("_")[0] in ("AWS", "GOOGLE", "AZURE")]:
        monkeypatch.delenv(name)
    told = {
        "HOME": str(tmp_path / "home"), "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": "AKNAME", "AWS_SECRET_ACCESS_KEY": SECRET,
        "GOOGLE_BASE_URL": server.url, "GOOGLE_SKIP_SIGNATURE": "true",
        "AZURE_STORAGE_ACCOUNT_NAME": "me", "AZURE_STORAGE_ENDPOINT": server.url,
        "AZURE_STORAGE_SAS_KEY": f"sv=1&sig={SECRET}",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    bucket._opened_store.cache_clear()


@pytest.fixture
def blob(server: Server) -> bytes:
    data = bytes(range(256)) * 4000
    for name in ("box/deep/it's 100% ä+?#.tar", "box/blob"):
        path = server.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return data


@pytest.mark.parametrize("scheme", NAMES)
def test_an_object_comes_whole_in_parts_and_with_what_its_bucket_says_of_it(
    blob: bytes, tmp_path: Path, scheme: str
) -> None:
    url = NAMES[scheme]
    fetch(url, tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    told = look(url)
    assert told.size == len(blob)
    assert told.mark
    assert fetch_part(url, 500, 20) == blob[500:520]
    assert fetch_part(url, len(blob) - 5, 5) == blob[-5:]


def test_a_bucket_that_breaks_goes_on_after_the_last_byte(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.break_after = 60_000  # seventeen times, where obstore alone gives up after five
    fetch("s3://box/blob", tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    assert server.sent == len(blob)


def test_a_busy_bucket_is_asked_again(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.errors = 2
    fetch("s3://box/blob", tmp_path / "blob")
    assert (tmp_path / "blob").read_bytes() == blob
    assert server.asked["blob"] == 3


def test_a_bucket_that_always_breaks_at_once_is_given_up(server: Server, blob: bytes, tmp_path: Path) -> None:
    server.ranges, server.break_after = False, 1
    with pytest.raises(OSError, match="is the network up"):
        fetch("s3://box/blob", tmp_path / "blob")
    assert [path.name for path in tmp_path.iterdir()] == ["www"]


def test_a_silent_bucket_is_asked_again(
    server: Server, blob: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "TIMEOUT", 0.3)
    server.stall = 1.0
    assert b"".join(bucket._read("s3://box/blob", None)) == blob
    assert server.asked["blob"] == 2


def test_an_object_that_changes_while_it_is_read_is_not_put_together_of_two(server: Server, blob: bytes) -> None:
    server.break_after = 60_000
    came = bucket._read("s3://box/blob", None)
    next(came)
    (server.root / "box" / "blob").write_bytes(blob[::-1])
    with pytest.raises(OSError, match="changed while it was read"):
        list(came)


def test_what_is_not_there_and_what_is_not_given_is_said_at_once(server: Server, blob: bytes, tmp_path: Path) -> None:
    for ask in (lambda: fetch("s3://box/no", tmp_path / "no"), lambda: look("s3://box/no")):
        with pytest.raises(FileNotFoundError, match=r"s3://box/no: the bucket has no such object; check dataset.urls"):
            ask()
    server.refuse = 403
    for ask in (lambda: fetch("s3://box/blob", tmp_path / "no"), lambda: look("s3://box/blob")):
        with pytest.raises(PermissionError, match=r"does not give this to you; check .*AWS_PROFILE"):
            ask()
    with pytest.raises(OSError, match="names no object; give s3://BUCKET/NAME"):
        look("s3://box")


def test_a_bucket_does_not_fill_the_disk(blob: bytes, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="announces 1024000 bytes where 10 have room"):
        fetch("s3://box/blob", tmp_path / "blob", 10)
    assert not (tmp_path / "blob").exists()


@pytest.mark.parametrize("scheme", NAMES)
def test_no_key_is_told(
    server: Server, blob: bytes, tmp_path: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Azure's is in the query of the address that is asked, which obstore's errors tell."""
    for refusal in (400, 403, 404, *([503] if scheme == "az" else [])):
        server.refuse = refusal
        for ask in (lambda: fetch(NAMES[scheme], tmp_path / "no"), lambda: look(NAMES[scheme])):
            with pytest.raises(OSError, match=f"{scheme}://box") as told:
                ask()
            assert SECRET not in str(told.value)
            assert "Debug" not in str(told.value)
            assert "\n" not in str(told.value)
    assert SECRET not in caplog.text
    assert not any(SECRET in (token or "") for token in server.tokens)


def test_the_keys_of_the_aws_command_are_used(
    server: Server, blob: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    home = tmp_path / "home" / ".aws"
    home.mkdir(parents=True)
    (home / "credentials").write_text(
        "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = a%b\n"
        "[work]\naws_access_key_id = WORK\naws_secret_access_key = c\n"
    )
    (home / "config").write_text(
        f"[default]\nendpoint_url = {server.url}\n[profile work]\nregion = eu-west-1\nendpoint_url = {server.url}\n"
    )
    for profile, name, region in ((None, "DEFAULT", "us-east-1"), ("work", "WORK", "eu-west-1")):
        if profile:
            monkeypatch.setenv("AWS_PROFILE", profile)
        bucket._opened_store.cache_clear()
        assert look("s3://box/blob").size == len(blob)
        assert f"Credential={name}/" in server.tokens[-1]
        assert f"/{region}/s3/" in server.tokens[-1]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "MINE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "d")
    bucket._opened_store.cache_clear()
    look("s3://box/blob")
    assert "Credential=MINE/" in server.tokens[-1]
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_PROFILE", "sso")
    bucket._opened_store.cache_clear()
    with pytest.raises(OSError, match=r"no keys of AWS_PROFILE=sso in .*pipe:aws s3 cp"):
        look("s3://box/blob")


@pytest.mark.parametrize("beside", [True, False])
def test_shards_in_a_bucket_are_indexed_by_their_heads_and_fetched_again_when_they_change(
    server: Server, make_shards: MakeShards, tmp_path: Path, beside: bool
) -> None:
    local = make_shards((5, 6), size=64)
    (server.root / "box").mkdir()
    for path in local.iterdir():
        if beside or not path.name.endswith(INDEX_SUFFIX):
            (server.root / "box" / path.name).write_bytes(path.read_bytes())
    urls = [f"s3://box/shard-{number:03d}.tar" for number in range(2)]
    source = DataLocation(tmp_path / "far", urls, cache_gib=1.0).find()
    assert isinstance(source, CachedShards)
    known = Shards(sorted(local.glob("*.tar")))
    assert source.names == known.names
    assert server.sent < sum(path.stat().st_size for path in local.glob("*.tar"))
    assert [source.read(row) for row in range(11)] == [known.read(row) for row in range(11)]
    marks = source.state()
    (server.root / "box" / "shard-000.tar").write_bytes((local / "shard-001.tar").read_bytes())
    (server.root / "box" / f"shard-000.tar{INDEX_SUFFIX}").unlink(missing_ok=True)
    again = DataLocation(tmp_path / "far", urls, cache_gib=1.0).find()
    assert isinstance(again, CachedShards)
    assert again.names == known.names[5:] * 2
    assert again.state() != marks


def test_a_fork_reads_a_bucket_that_its_parent_has_read(blob: bytes, tmp_path: Path) -> None:
    """obstore's threads do not exist in a fork: asked there it waits without end."""
    assert look("s3://box/blob").size == len(blob)

    def work() -> None:
        fetch("s3://box/blob", tmp_path / "blob")
        assert look("s3://box/blob").size == len(blob)
        assert fetch_part("s3://box/blob", 500, 20) == blob[500:520]
        with pytest.raises(FileNotFoundError, match="no such object"):
            look("s3://box/no")

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert (tmp_path / "blob").read_bytes() == blob


def test_a_signal_in_the_middle_of_a_silent_object_is_heeded_at_once(server: Server, blob: bytes) -> None:
    server.stall = 20.0

    class StoppedError(Exception):
        """By the signal."""

    def stop(*_: Any) -> None:
        raise StoppedError

    before = signal.signal(signal.SIGUSR1, stop)
    start = time.monotonic()
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    try:
        with pytest.raises(StoppedError), opened("s3://box/blob") as stream:
            stream.read()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert time.monotonic() - start < 15
