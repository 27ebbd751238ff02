"""Weights & Biases without its surprises: no prompt, no waiting, no crash."""

import logging
import netrc
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import Logger, WandbLogger

log = logging.getLogger(__name__)
PATIENCE = 3.0  # seconds to wait for the server before a run goes offline


def wandb_logger(*, save_dir: str, offline: bool | str = "auto", **options: Any) -> WandbLogger:
    """A W&B logger that is online where it can be and offline everywhere else, and says which.

    Args:
        save_dir: folder that takes the run's files; made if missing.
        offline: true, false, or "auto": online only with a key and a server that answers within three seconds.
        options: handed to `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ValueError: `offline` is none of the three.
    """
    if offline not in (True, False, "auto"):
        raise ValueError(f"logger.wandb.offline takes auto, true or false, got {offline!r}")
    reason = _why_offline() if offline == "auto" else "logger.wandb.offline=true" if offline else None
    Path(save_dir).mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("WANDB_SILENT", "true")  # its banner would tear the progress bar
    if reason:
        log.info("W&B runs offline (%s); the run lies in %s, `wandb sync` uploads it", reason, Path(save_dir, "wandb"))
    # The mode is said to wandb.init itself: it reads WANDB_MODE, which Lightning sets, only once in a process.
    return WandbLogger(save_dir=save_dir, mode="offline" if reason else "online", **options)


@contextmanager
def closing_wandb(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the W&B run with the block, as finished or as failed; a sweep's next job would otherwise go on writing to it."""
    code = 1
    try:
        yield
        code = 0
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish(exit_code=code)


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
