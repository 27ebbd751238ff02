"""W&B never asks, never waits, never stops a run."""

import logging
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import wandb

from satclip.training.loggers import wandb as wandb_module
from satclip.training.loggers.wandb import wandb_logger


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine where nobody ever logged in to W&B; its home."""
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.startswith("WANDB") or name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield home
    wandb.finish()
    wandb.teardown()  # it keeps the environment that it saw first


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A W&B server, or a proxy, that understands nothing; its address, and what it was asked."""
    asked: list[str] = []

    class Deaf(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.send_error(400)

        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Deaf)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listening.server_port}", asked
    listening.shutdown()
    listening.server_close()


@pytest.mark.usefixtures("no_account")
def test_without_a_key_the_run_is_offline_and_says_where_it_lies(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        logger = wandb_logger(save_dir=str(tmp_path / "run"), project="satclip")
    logger.log_metrics({"val/loss": 1.0}, step=1)
    logger.log_hyperparams({"seed": 0})
    logger.experiment.finish()
    assert "no API key" in caplog.text
    assert str(tmp_path / "run" / "wandb") in caplog.text
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


@pytest.mark.usefixtures("no_account")
def test_a_server_that_does_not_answer_costs_seconds_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    wandb.teardown()
    monkeypatch.setattr(wandb_module, "PATIENCE", 2.0)
    start = time.monotonic()
    with caplog.at_level(logging.INFO):
        wandb_logger(save_dir=str(tmp_path), project="satclip")
    assert time.monotonic() - start < 10
    assert "127.0.0.1" in caplog.text
    assert "connection refused" in caplog.text
    assert list((tmp_path / "wandb").glob("offline-run-*/*.wandb"))


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes auto, true or false, got 'maybe'"):
        wandb_logger(save_dir=str(tmp_path), offline="maybe")


def keep_key(home: Path, place: str, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for that server in one of the places where W&B looks."""
    host = server.removeprefix("http://")
    settings = home / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[default]\nbase_url = {server}\n")
    if place == "environment":
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    elif place == "settings":
        settings.write_text(f"[default]\nbase_url = {server}\napi_key = {'0' * 40}\n")
    else:
        file = home / (".netrc" if place == "netrc" else "elsewhere")
        file.write_text(f"machine {host}\n login user\n password {'0' * 40}\n")
        file.chmod(0o600)
        if place == "NETRC":
            monkeypatch.setenv("NETRC", str(file))
    wandb.teardown()


@pytest.mark.parametrize("place", ["environment", "netrc", "NETRC", "settings"])
def test_a_server_of_one_s_own_is_asked_wherever_the_key_lies(
    place: str, no_account: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = server
    assert wandb_module._why_offline() == "no API key; `wandb login` stores one"
    keep_key(no_account, place, address, monkeypatch)
    assert wandb_module._why_offline() is None


def test_a_run_begins_at_the_server_that_the_settings_name(
    no_account: Path, server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = server
    keep_key(no_account, "settings", address, monkeypatch)
    assert wandb_logger(save_dir=str(tmp_path / "run"), project="satclip") is not None  # offline, after it was asked
    assert "/graphql" in asked


@pytest.mark.usefixtures("no_account")
def test_a_proxy_is_asked_for_the_server(
    server: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, asked = server
    monkeypatch.setenv("HTTPS_PROXY", address)
    monkeypatch.setenv("WANDB_INIT_TIMEOUT", "2")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    wandb.teardown()
    assert wandb_module._why_offline() is None
    assert wandb_logger(save_dir=str(tmp_path / "run"), project="satclip") is not None
    assert [each for each in asked if each.endswith(":443")]


@pytest.mark.parametrize("by", ["WANDB_MODE", "settings"])
@pytest.mark.usefixtures("no_account")
def test_disabled_leaves_no_file(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(by, "disabled", monkeypatch)
    for offline in ("auto", True, False):
        assert wandb_logger(save_dir=str(tmp_path / "run"), project="satclip", offline=offline) is None
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("by", ["WANDB_MODE", "settings"])
@pytest.mark.usefixtures("no_account")
def test_who_said_offline_is_not_asked_for_a_key(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    tell(by, "offline", monkeypatch)
    assert wandb_logger(save_dir=str(tmp_path / "run"), project="satclip") is not None
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


def tell(by: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have W&B be in that mode."""
    if by == "WANDB_MODE":
        monkeypatch.setenv("WANDB_MODE", mode)
    else:  # as `wandb offline` writes it
        Path("wandb").mkdir()
        Path("wandb", "settings").write_text(f"[default]\nmode = {mode}\n")
    wandb.teardown()
