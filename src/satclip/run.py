"""One training run, from its config to its report."""

import logging
import sys
import warnings
from pathlib import Path

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig, OmegaConf

from satclip.data.datamodule import S2DataModule
from satclip.loggers import closing_wandb
from satclip.module import ContrastiveModule
from satclip.report import FinalReport
from satclip.saving import AtomicCheckpointIO, plain

log = logging.getLogger(__name__)
PACKAGE = str(Path(__file__).parent)


def train(config: DictConfig) -> dict[str, float]:
    """Train what `config` describes and report on it; returns the metrics of the report and the validation."""
    check(config)
    quieten()
    resolved = plain(OmegaConf.to_container(config, resolve=True))
    L.seed_everything(config.seed, workers=True)
    data: S2DataModule = instantiate(config.dataset)
    model: ContrastiveModule = instantiate(config.model)
    model.recipe = {"config": resolved, "vision": resolved["vision"]}
    callbacks: list[L.Callback] = [instantiate(node) for node in config.callbacks.values()]
    loggers: list[Logger] = [instantiate(node) for node in config.logger.values()]
    trainer: L.Trainer = instantiate(
        config.trainer, callbacks=callbacks, logger=loggers or False, plugins=[AtomicCheckpointIO()]
    )
    with closing_wandb(loggers):
        for logger in loggers:
            logger.log_hyperparams(resolved)
        trainer.fit(model, data, ckpt_path=config.ckpt_path)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if config.report is not None and trainer.is_global_zero:
            restore_best(model, trainer)
            report: FinalReport = instantiate(config.report)
            metrics |= report(model.model, data, Path(config.output_dir), loggers, step=trainer.global_step)
    return metrics


def check(config: DictConfig) -> None:
    """Refuse what composes but cannot mean anything.

    Raises:
        ValueError: an encoding without degrees was given `legendre_polys`.
    """
    encoding = config.le_type["_target_"].rsplit(".", 1)[-1]
    if "legendre_polys" in config.le_type and encoding != "SphericalHarmonics":
        raise ValueError(
            f"le_type {encoding} has no Legendre polynomials; drop legendre_polys={config.le_type.legendre_polys} "
            "(~legendre_polys where an experiment sets it), or choose le_type=sphericalharmonics"
        )


def quieten() -> None:
    """Let Lightning speak only when something is wrong, and then once: it brings a handler beside Hydra's."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)
    # Lightning 2.6 asks torch 2.14 in a way that torch 2.14 would rather not be asked.
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")


def restore_best(model: ContrastiveModule, trainer: L.Trainer) -> None:
    """Load the weights of the best validation loss, where a checkpoint callback kept them."""
    keeper = next((callback for callback in trainer.callbacks if isinstance(callback, ModelCheckpoint)), None)  # type: ignore[attr-defined]
    if keeper is not None and keeper.best_model_path:
        checkpoint = torch.load(keeper.best_model_path, map_location=model.device, weights_only=True)
        model.load_state_dict(checkpoint["state_dict"])
        log.info("best checkpoint: %s", keeper.best_model_path)


def explain(error: BaseException) -> str | None:
    """The message of an error that our own code raised on purpose, or None for a defect that wants its traceback."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    raised_here = trace is not None and trace.tb_frame.f_code.co_filename.startswith(PACKAGE)
    return str(error) if raised_here and isinstance(error, (ValueError, OSError, ImportError)) else None


def main(config: DictConfig) -> dict[str, float]:
    """`train` for the command line: bad input ends in its message, a defect in its traceback."""
    try:
        return train(config)
    except Exception as error:
        message = explain(error)
        if message is None or HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        log.debug("where it was raised", exc_info=True)
        sys.exit(f"error: {message}")
