"""File systems that can do less than POSIX asks of them: no locks, no fsync, no renames of folders."""

import errno
import fcntl
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from satclip import files
from satclip.data.sources.cached_shards import CachedShards
from satclip.data.sources.shards import Shards
from satclip.files import atomic_file, atomic_folder, locked, move

MakeShards = Callable[..., Path]
CODES = [errno.ENOSYS, errno.ENOTSUP, errno.EINVAL, errno.ENOLCK]


@pytest.fixture(autouse=True)
def _not_warned_yet() -> None:
    files._warn_once.cache_clear()


def failing(code: int) -> Callable[..., None]:
    def call(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("code", CODES)
def test_without_locks_shards_from_elsewhere_are_read_with_one_warning(
    make_shards: MakeShards,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    local = make_shards((5, 6))
    paths = sorted(local.glob("*.tar"))
    monkeypatch.setattr(fcntl, "flock", failing(code))
    cached = CachedShards([f"file://{path}" for path in paths], tmp_path / "cache", 1.0)
    known = Shards(paths)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(cached.read, range(11))) == [known.read(row) for row in range(11)]
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "without locks" in warnings[0].getMessage()


def test_a_lock_that_fails_for_another_reason_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.EIO))
    with pytest.raises(OSError, match="Input/output"), locked(tmp_path / "a.tar"):
        pass
    monkeypatch.undo()
    with locked(tmp_path / "a.tar"):  # and nothing is left locked
        pass


@pytest.mark.parametrize("has_locks", [True, False])
def test_threads_never_hold_a_file_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool) -> None:
    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", failing(errno.ENOSYS))
    inside, most = [0], [0]
    barrier = threading.Barrier(4)

    def enter(_: int) -> None:
        barrier.wait(10)
        for _ in range(20):
            with locked(tmp_path / "a.tar"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.sched_yield()
                inside[0] -= 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enter, range(4)))
    assert most == [1]


def test_a_child_that_was_forked_while_a_thread_held_a_lock_gets_it(tmp_path: Path) -> None:
    with files._threads[tmp_path / ".a.tar.lock"]:
        child = os.fork()
        if child == 0:
            with locked(tmp_path / "a.tar"):
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_without_fsync_files_are_written_with_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    monkeypatch.setattr(os, "fsync", failing(code))
    for name in ("a", "b"):
        with atomic_file(tmp_path / name) as part:
            part.write_text(name)
    assert [(tmp_path / name).read_text() for name in ("a", "b")] == ["a", "b"]
    assert caplog.text.count("without fsync") == 1
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(OSError, match="No space"), atomic_file(tmp_path / "c") as part:
        part.write_text("c")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_that_cannot_be_renamed_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.replace

    def replace(self: Path, target: Path) -> Path:
        if not self.name.endswith(".copy") and self.is_dir():  # as overlayfs says of folders out of a container's image
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    for content in ("first", "second"):
        with atomic_folder(tmp_path / "data") as folder:
            (folder / "a").write_text(content)
    assert (tmp_path / "data" / "a").read_text() == "second"
    move(tmp_path / "data", tmp_path / "moved")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "moved"]


def test_a_folder_that_is_stopped_between_its_two_renames_is_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "data"
    target.mkdir()
    (target / "old").touch()
    replace = Path.replace

    def stopped(self: Path, to: Path) -> Path:
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return replace(self, to)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as folder:
        (folder / "new").touch()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
