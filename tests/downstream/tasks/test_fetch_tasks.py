"""`scripts/fetch_tasks.py` against a server on this machine: whole files, right ones, taken up again."""

import hashlib
import importlib.util
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from satclip.downstream.tasks.origins import ORIGINS, Origin

CONTENT = bytes(range(256)) * 12_000  # 3 MB: several parts


class Shelf:
    """Files that the server has, what it was asked for, and how it behaves."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.breaks_after: int | None = None
        self.whole_only = False
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Answers, self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, shelf: Shelf, *args: Any) -> None:
        self.shelf = shelf
        super().__init__(*args)

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.shelf.asked.append((self.path, asked))
        data = self.shelf.files.get(self.path)
        if data is None:
            return self.send(404, b"")
        if asked is None or self.shelf.whole_only:
            return self.send(200, data)
        start, end = asked.removeprefix("bytes=").split("-")
        if self.shelf.breaks_after is not None and int(start) >= self.shelf.breaks_after:
            return self.send(500, b"")
        if int(start) >= len(data):
            return self.send(416, b"")
        return self.send(206, data[int(start) : int(end) + 1])

    def send(self, status: int, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    served = Shelf()
    yield served
    served.http.shutdown()
    served.http.server_close()


@pytest.fixture
def script(project: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_tasks", project / "scripts" / "fetch_tasks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr("satclip.data.sources.web.time.sleep", lambda seconds: None)  # between attempts
    monkeypatch.setattr("satclip.data.sources.web.PATIENCE", module_patience())
    return module


def module_patience() -> Any:
    """The retries of the transport, without the waits between them."""
    from satclip.data.sources.web import PATIENCE

    return PATIENCE.new(backoff_factor=0)


def origin(shelf: Shelf, *, known: bool = True) -> Origin:
    shelf.files["/a.csv"] = CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest() if known else None
    return Origin("air_temperature", "a.csv", f"{shelf.url}/a.csv", digest, len(CONTENT) if known else None)


def test_a_file_is_fetched_whole_and_not_again(shelf: Shelf, script: ModuleType, tmp_path: Path) -> None:
    wanted = origin(shelf)
    assert script.bring(wanted, tmp_path) == "fetched, SHA-256 as published"
    assert (tmp_path / "air_temperature/a.csv").read_bytes() == CONTENT
    shelf.asked.clear()
    assert script.bring(wanted, tmp_path) == "is there, SHA-256 as published"
    assert shelf.asked == []
    assert [path.name for path in (tmp_path / "air_temperature").iterdir()] == ["a.csv"]


def test_an_interrupted_fetch_goes_on_where_it_stopped(shelf: Shelf, script: ModuleType, tmp_path: Path) -> None:
    wanted = origin(shelf)
    shelf.breaks_after = 1 << 21
    with pytest.raises(OSError, match="500"):
        script.bring(wanted, tmp_path)
    assert not (tmp_path / "air_temperature/a.csv").exists()
    shelf.breaks_after = None
    shelf.asked.clear()
    assert script.bring(wanted, tmp_path) == "fetched, SHA-256 as published"
    assert shelf.asked[0][1] is not None
    assert shelf.asked[0][1].startswith(f"bytes={1 << 21}-")


def test_a_server_without_parts_sends_the_whole_file(shelf: Shelf, script: ModuleType, tmp_path: Path) -> None:
    shelf.whole_only = True
    assert script.bring(origin(shelf), tmp_path) == "fetched, SHA-256 as published"
    assert [path.name for path in (tmp_path / "air_temperature").iterdir()] == ["a.csv"]


def test_a_changed_file_is_refused_and_removed(shelf: Shelf, script: ModuleType, tmp_path: Path) -> None:
    wanted = origin(shelf)
    shelf.files["/a.csv"] = CONTENT[:-1]
    with pytest.raises(script.WrongFileError, match=r"has SHA-256 .* and not .*3071999 bytes instead of 3072000"):
        script.bring(wanted, tmp_path)
    assert not list((tmp_path / "air_temperature").iterdir())


def test_without_a_known_checksum_the_first_fetch_is_recorded(shelf: Shelf, script: ModuleType, tmp_path: Path) -> None:
    wanted = origin(shelf, known=False)
    assert "no published SHA-256; recorded" in script.bring(wanted, tmp_path)
    recorded = json.loads((tmp_path / "checksums.json").read_text())
    assert recorded == {"air_temperature/a.csv": hashlib.sha256(CONTENT).hexdigest()}
    assert script.bring(wanted, tmp_path) == "is there, SHA-256 as recorded at the first fetch"
    (tmp_path / "air_temperature/a.csv").write_bytes(b"other")
    with pytest.raises(script.WrongFileError, match=r"as recorded in .* at the first fetch"):
        script.bring(wanted, tmp_path)
    assert (tmp_path / "air_temperature/a.csv").read_bytes() == b"other"  # a person's own file is never removed


def test_a_file_that_is_had_by_hand_is_named_with_its_page_and_checked(script: ModuleType, tmp_path: Path) -> None:
    by_hand = Origin("elevation", "e.csv", None, hashlib.sha256(b"right").hexdigest(), page="somewhere.org")
    assert "can only be had by hand, from somewhere.org" in script.bring(by_hand, tmp_path)
    (tmp_path / "elevation").mkdir()
    (tmp_path / "elevation/e.csv").write_bytes(b"right")
    assert script.bring(by_hand, tmp_path) == "is there, SHA-256 as published"


def run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, origins: tuple[Origin, ...], *arguments: str) -> str:
    """What the command ends with."""
    monkeypatch.setattr(script, "ORIGINS", origins)
    monkeypatch.setattr("sys.argv", ["fetch_tasks.py", *arguments])
    try:
        script.main()
    except SystemExit as end:
        return str(end)
    return ""


def test_offline_is_one_line(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = Origin("air_temperature", "a.csv", "http://127.0.0.1:9/a.csv", "0" * 64)
    end = run(script, monkeypatch, (nobody, nobody), "--root", str(tmp_path))
    assert end.startswith("error: http://127.0.0.1:9/a.csv: no answer in 5 attempts; what was fetched is kept")
    assert "\n" not in end
    assert capsys.readouterr().out == ""


def test_one_file_that_is_gone_does_not_stop_the_others(
    shelf: Shelf,
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gone = Origin("population", "gone.csv", f"{shelf.url}/gone.csv", "0" * 64)
    end = run(script, monkeypatch, (gone, origin(shelf)), "--root", str(tmp_path))
    assert end == f"error: 1 of 2 files are not right; the others are in {tmp_path}"
    captured = capsys.readouterr()
    assert captured.err == f"error: population/gone.csv: {shelf.url}/gone.csv: the server has no such file (404)\n"
    assert "air_temperature/a.csv: fetched" in captured.out


def test_an_unknown_task_and_a_check_fetch_nothing(
    shelf: Shelf, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no files for foo; there are some for" in run(script, monkeypatch, (origin(shelf),), "foo")
    assert run(script, monkeypatch, (origin(shelf),), "--check", "--root", str(tmp_path)) == ""
    assert shelf.asked == []


def test_every_origin_says_where_it_is_to_be_had() -> None:
    assert all(origin.url or origin.page for origin in ORIGINS)
    assert len({(origin.task, origin.file) for origin in ORIGINS}) == len(ORIGINS)
