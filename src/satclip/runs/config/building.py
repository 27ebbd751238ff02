"""Builds what a config describes, for nothing: each constructor says itself what it does not take.

The towers are built without memory, on torch's meta device.
"""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig

from satclip import launch_environment

OUT_OF_REACH = {"weights": "none", "pretrained": False, "frozen": False}  # of image towers: would be fetched or read
UNUSED: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
LOGGERS = (
    "satclip.training.loggers.csv.CsvLogger",
    "satclip.training.loggers.tensorboard.tensorboard_logger",
)  # write nothing yet
PRECISIONS = {"16": "16-mixed", "bf16": "bf16-mixed", "32": "32-true", "64": "64-true"}
ELSEWHERE = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "precision": "32-true", "strategy": "auto"}


def build(config: DictConfig, *, here: bool) -> None:
    """Build all that costs neither time nor memory; nothing of it is kept.

    Args:
        config: resolved, of known names and kinds.
        here: whether it is this machine that will train, so that its devices are asked for.

    Raises:
        ValueError: what a constructor does not take, in its own words and with the name of the part.
    """
    with _said_of("dataset"):
        instantiate(config.dataset)
    towers = config.copy()
    for name, harmless in OUT_OF_REACH.items():
        if name in towers.vision:
            towers.vision[name] = harmless
            towers.model.vision[name] = harmless
    endless = all(config.trainer.get(limit) in (None, -1) for limit in ("max_epochs", "max_steps"))
    with torch.device("meta"):
        for part in ("le_type", "loss", "vision"):
            with _said_of(part):
                instantiate(towers[part])
        with _said_of("pe_type"):
            instantiate(towers.model.location_encoder)
        with _said_of("model"):
            model = instantiate(towers.model)
        with _said_of("optimizer"):
            optimizer = model.optimizer(model)
        if model.scheduler is not None:
            with _said_of("scheduler"):
                model.scheduler(optimizer, total_steps=None if endless else 100)
    for name, node in config.callbacks.items():
        with _said_of(f"callbacks.{name}"):
            instantiate(node)
    for name, node in config.logger.items():
        if node["_target_"] in LOGGERS:
            with _said_of(f"logger.{name}"):
                instantiate(node)
    if config.report is not None:
        with _said_of("report"):
            instantiate(config.report)
    with _said_of("trainer"), _quiet():
        trainer = instantiate(config.trainer, **UNUSED, **({} if here else ELSEWHERE))
    if here:
        _as_asked(config.trainer, trainer)


def _as_asked(options: DictConfig, trainer: Trainer) -> None:
    """Refuse what Lightning would change with a warning, or wait for without one."""
    asked = str(options.get("precision") or trainer.precision)
    if PRECISIONS.get(asked, asked) != trainer.precision:
        raise ValueError(
            f"trainer.precision={asked} is not to be had on this device; trainer.precision={trainer.precision} is"
        )
    if trainer.num_nodes > 1 and not launch_environment.external() and "MASTER_ADDR" not in os.environ:
        raise ValueError(f"trainer.num_nodes={trainer.num_nodes}, and one process was started; use torchrun or srun")


@contextmanager
def _said_of(part: str) -> Iterator[None]:
    """What a constructor does not take is the option's fault: its own message, with the name of the part before it."""
    try:
        yield
    except InstantiationException as error:
        cause = error.__cause__ or error
        if not isinstance(
            cause, (ValueError, TypeError, RuntimeError, OSError, ImportError, MisconfigurationException)
        ):
            raise
        text = str(cause).strip().splitlines()[0]
        text += "; trainer=cpu trains on the CPU" if "backend found" in text else ""
        raise ValueError(text if text.startswith(part) else f"{part}: {text}") from error
    except (ValueError, TypeError, RuntimeError) as error:
        raise ValueError(f"{part}: {str(error).splitlines()[0]}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning logs of devices: it logs it again when the real trainer is made."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
