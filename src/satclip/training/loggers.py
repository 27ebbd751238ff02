"""Weights & Biases without its surprises: no prompt, no waiting, no crash."""

import logging
import netrc
import os
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger

from satclip.runs import environment

log = logging.getLogger(__name__)
PATIENCE = 3.0  # seconds to wait for the server before a run goes offline
INIT_PATIENCE = 20.0  # seconds to wait for a server that answers but does not begin the run
RUN_ID = "run-id"  # file in the W&B folder


class TolerantWandbLogger(WandbLogger):
    """Lightning's, for which a W&B that fails in mid-run is worth a warning and not the run."""

    _failed = False

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log, unless W&B has failed before."""
        with self.tolerance():
            if not self._failed:
                super().log_metrics(metrics, step)

    def log_hyperparams(self, params: Any) -> None:
        """Log, unless W&B has failed before."""
        with self.tolerance():
            if not self._failed:
                super().log_hyperparams(params)

    @contextmanager
    def tolerance(self) -> Iterator[None]:
        """Whatever W&B raises in the block is logged, once."""
        try:
            yield
        except Exception as error:
            if not self._failed:
                log.warning("W&B has failed (%s: %s); the run goes on without it", type(error).__name__, error)
            self._failed = True


def wandb_logger(*, save_dir: str, offline: bool | str = "auto", **options: Any) -> WandbLogger | None:
    """A W&B logger that is online where it can be and offline everywhere else, and says which.

    A run that goes on in its folder goes on in its W&B run. None, with a warning, where W&B cannot write.

    Args:
        save_dir: folder that takes the run's files; made if missing.
        offline: true, false, or "auto": online only with a key and a server that answers within seconds.
        options: handed to `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ValueError: `offline` is none of the three.
    """
    if offline not in (True, False, "auto"):
        raise ValueError(f"logger.wandb.offline takes auto, true or false, got {offline!r}")
    reason = _why_offline() if offline == "auto" else "logger.wandb.offline=true" if offline else None
    os.environ.setdefault("WANDB_SILENT", "true")  # its banner would tear the progress bar
    settings = wandb.Settings(init_timeout=INIT_PATIENCE)
    options = {"save_dir": save_dir, "settings": settings, **options}
    try:
        if not reason:
            try:
                return _begun(mode="online", **_identity(save_dir), **options)
            except (wandb.errors.Error, OSError) as error:
                if offline is False:
                    raise
                reason = str(error).splitlines()[0]
                forget_wandb_run(save_dir)  # the number of a run that failed to begin stays in use
        # The mode is said to wandb.init itself: it reads WANDB_MODE, which Lightning sets, only once in a process.
        logger = _begun(mode="offline", **_identity(save_dir), **options)
    except (wandb.errors.Error, OSError) as error:
        log.warning("W&B cannot begin a run in %s (%s); the run goes on without it", save_dir, error)
        return None
    log.info("W&B runs offline (%s); the run lies in %s, `wandb sync` uploads it", reason, Path(save_dir, "wandb"))
    return logger


def forget_wandb_run(save_dir: str | Path) -> None:
    """Have the next run in this folder begin a W&B run of its own."""
    with suppress(FileNotFoundError, NotADirectoryError):
        Path(save_dir, "wandb", RUN_ID).unlink()


@contextmanager
def closing_wandb(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the W&B run with the block, as finished or as failed; else the next job of a sweep would write on in it."""
    code = 1
    try:
        yield
        code = 0
    finally:
        for logger in loggers:
            if isinstance(logger, TolerantWandbLogger):
                with logger.tolerance():
                    logger.experiment.finish(exit_code=code)


def _begun(**options: Any) -> TolerantWandbLogger:
    """A logger whose W&B run has begun, which Lightning would put off to where it can no longer be helped."""
    logger = TolerantWandbLogger(**options)
    _ = logger.experiment
    return logger


def _identity(save_dir: str) -> dict[str, str]:
    """The W&B run of this folder, made up where it has none; nothing where a W&B sweep has given one.

    Raises:
        OSError: the folder cannot be written.
    """
    if environment.rank() > 0:
        return {}
    folder = Path(save_dir, "wandb")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    if "WANDB_RUN_ID" in os.environ or "WANDB_SWEEP_ID" in os.environ:
        return {}
    file = folder / RUN_ID
    if not file.exists():
        file.write_text(secrets.token_hex(4))
    return {"id": file.read_text()}


def _why_offline() -> str | None:
    """Why a run cannot be online, or None where it can."""
    mode = os.environ.get("WANDB_MODE")
    if mode:
        return None if mode == "online" else f"WANDB_MODE={mode}"
    server = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"))
    if not _has_key(server.hostname or ""):
        return "no API key; `wandb login` stores one"
    try:
        socket.create_connection((server.hostname or "", server.port or 443), timeout=PATIENCE).close()
    except OSError as error:
        return f"{server.hostname} does not answer: {error}"
    return None


def _has_key(host: str) -> bool:
    """Whether W&B would find credentials without asking: in the environment, or where `wandb login` writes them."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    files = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for file in map(Path.expanduser, map(Path, files)):
        try:
            if netrc.netrc(file).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False
