"""W&B never asks, never waits, never stops a run."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb

from satclip.training.loggers import wandb_logger


@pytest.fixture
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A machine where nobody ever logged in to W&B."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield
    wandb.finish()


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
    start = time.monotonic()
    with caplog.at_level(logging.INFO):
        wandb_logger(save_dir=str(tmp_path), project="satclip")
    assert time.monotonic() - start < 10
    assert "127.0.0.1 does not answer" in caplog.text


def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="takes auto, true or false, got 'maybe'"):
        wandb_logger(save_dir=str(tmp_path), offline="maybe")
