"""`satclip explore`: a page that is served or written, and what is said where neither can be."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from satclip.cli.serving import PageServer

pytest.importorskip("shapely", reason="the outlines of the land need `pip install 'satclip[cli]'`")


@pytest.fixture(autouse=True)
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels enough for five folds, and no more, of the map that is read fastest."""
    monkeypatch.setattr("satclip.explorer.probed.PLACES", 300)
    monkeypatch.setattr("satclip.explorer.probed.TASKS", ("elevation",))


@contextmanager
def served(text: str) -> Iterator[PageServer]:
    server = PageServer()
    server.page = text.encode()
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def asked(server: PageServer, path: str, host: str | None = None, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{server.server_port}"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_the_page_is_written_beside_nothing_else_and_its_cost_is_told(satclip: Any, model: str, tmp_path: Path) -> None:
    target = tmp_path / "explorer.html"
    target.write_text("an older one")
    outcome = satclip("explore", model, "--compare", f"untrained:{model}", "--resolution", 20, "-o", target)
    assert outcome.code == 0
    assert outcome.err.count("components as int8: cosine off by") == 2
    assert f"{target}: " in outcome.err
    text = target.read_text()
    assert text.startswith("<!doctype html>")
    assert str(Path(model).parent.parent) not in text  # where it lay on this machine is nobody's business
    assert [path.name for path in tmp_path.iterdir()] == ["explorer.html"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("-o", "page.pdf"), "must end in one of .html"),
        (("-o", "nowhere/page.html"), "there is no folder nowhere: make it first"),
        (("-o", "page.html", "--port", "8000"), "leave one of -o and --port"),
        (("--sea", "--bounds", "0", "0", "9", "9"), "leave one of the two"),
        (("--bounds", "0", "9", "9", "0"), "south below north"),
        (("--resolution", "0.01"), "the spacing must lie in 0.25..30"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(
    options: tuple[str, ...], said: str, satclip: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = satclip("explore", model, *options)
    assert outcome.code in (1, 2)
    assert said in " ".join(outcome.err.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


def test_a_model_is_compared_with_another_one(satclip: Any, model: str) -> None:
    assert "that is the same model" in satclip("explore", model, "--compare", model).err


def test_a_name_that_cannot_be_fetched_is_said_to_be_so(
    satclip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", _offline)
    outcome = satclip("explore", "someone/their-model", "-o", tmp_path / "a.html")
    assert outcome.code == 1
    assert "check name and network, or fetch it elsewhere and give its path" in outcome.err
    assert not (tmp_path / "a.html").exists()


def _offline(*_: object, **__: object) -> None:
    raise ConnectionError("no route to host")


def test_a_port_in_use_is_told_before_anything_is_computed(satclip: Any, model: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        outcome = satclip("explore", model, "--resolution", 20, "--port", port)
    assert outcome.code == 1
    assert f"port {port} is in use; leave --port out for a free one" in outcome.err
    assert "int8" not in outcome.err


def test_only_this_machine_gets_the_page_and_nothing_but_the_page() -> None:
    with served("the page") as server:
        assert asked(server, "/") == (200, b"the page")
        assert asked(server, "/", f"localhost:{server.server_port}") == (200, b"the page")
        assert asked(server, "/", method="HEAD") == (200, b"")
        assert asked(server, "/etc/passwd")[0] == 404
        assert asked(server, "/../../etc/passwd")[0] == 404
        assert asked(server, "/", "evil.example")[0] == 403  # a name that was made to point to this machine
        assert asked(server, "/", method="POST")[0] == 405
        with socket.create_connection(("127.0.0.1", server.server_port)):  # a browser's spare connection
            assert asked(server, "/") == (200, b"the page")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_the_serving_and_is_no_failure(number: signal.Signals, code: int, model: str) -> None:
    command = [sys.executable, "-m", "satclip.cli", "explore", model, "--resolution", "30"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        # Tests that were started in the background ignore SIGINT, and so would their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stderr is not None
        said = ""
        while "Ctrl+C ends it" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(number)
        said += process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in said
