"""One training run, from its config to its report."""

import errno
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, LambdaCallback, ProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from omegaconf import DictConfig, OmegaConf

from satclip import launch_environment, ranks
from satclip.data.placed_datamodule import PlacedDataModule
from satclip.errors import is_raised_on_purpose
from satclip.runs import ending, folders, naming, provenance, run_folder
from satclip.runs.config import checks
from satclip.runs.find_checkpoint import begun_by, command, newest_readable, other_run, step_of
from satclip.runs.reports.writing import write_run_page
from satclip.runs.sweeping import trial as trials
from satclip.runs.sweeping.study import pruning_in
from satclip.training.batch_norm import GlobalBatchNorm
from satclip.training.callbacks.figures import KeepFigures
from satclip.training.callbacks.resumable import Resumable, unfinished
from satclip.training.checkpoint_io import AtomicCheckpointIO, plain
from satclip.training.final_report import FinalReport
from satclip.training.loggers.csv import CsvLogger
from satclip.training.loggers.wandb import closing_wandb, forget_wandb_run
from satclip.training.module import ContrastiveModule
from satclip.training.shown import Shown

log = logging.getLogger(__name__)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory")
PROFILERS = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
DEAD_PEER = ("closed by peer", "reset by peer", "NCCL error", "NCCL communicator was aborted")


def train(config: DictConfig) -> dict[str, float]:
    """Train what `config` describes and report on it; returns the figures of the best and the last weights."""
    quieten()
    checks.check(config)
    launch_environment.leave_with_parent()
    folder = Path(config.output_dir)
    resolved = plain(OmegaConf.to_container(config, resolve=True))
    checkpoint, step = begin(folder, config.ckpt_path)
    if launch_environment.rank() == 0:
        provenance.begin(folder, provenance.line(begun_by()), resolved, step)
    set_precision(config.matmul_precision)
    L.seed_everything(config.seed, workers=True, verbose=False)
    data: PlacedDataModule = instantiate(config.dataset)
    if launch_environment.rank() == 0:
        data.prepare_data()  # before the model, whose weights would be fetched for nothing; Lightning calls it again
    report: FinalReport | None = None if config.report is None else instantiate(config.report)
    model: ContrastiveModule = instantiate(config.model)
    data.check_tower(model.model.vision)
    model.recipe = {"config": resolved, "vision": resolved["vision"], **plain(data.provenance())}
    if config.compile:
        model.compile_towers()
    callbacks: list[L.Callback] = [KeepFigures(), *(instantiate(node) for node in config.callbacks.values())]
    if (pruning := pruning_in(folder)) is not None:
        callbacks.append(pruning)
    for callback in callbacks:
        if isinstance(callback, Resumable):
            callback.command = command(folder)
        if isinstance(callback, Shown):
            callback.facts = {"git_commit": provenance.commit(), "command": command(folder)}
    if launch_environment.rank() == 0:
        callbacks.append(LambdaCallback(on_train_start=lambda *_: provenance.add_data(folder, data)))
    loggers = connect(config.logger, step, checkpoint, folder, naming.of_hydra(config, folder))
    trainer = trainer_of(config.trainer, callbacks, loggers)
    with closing_wandb(loggers):
        for logger in loggers:
            logger.log_hyperparams(resolved)
        trainer.fit(model, data, ckpt_path=checkpoint)
        ranks.leave()
        metrics = ending.last_moment(trainer).named("last")
        if trainer.is_global_zero and pruning is not None and pruning.stopped_at is not None:
            trials.prune(folder, pruning.stopped_at, pruning.monitor, pruning.figure)
        elif trainer.is_global_zero:
            metrics = ending.conclude(trainer, model, data, folder, loggers, report)
            for callback in callbacks:
                if isinstance(callback, Shown):
                    callback.keep_model(trainer, folder / "checkpoints" / "best.ckpt")
            if reason := unfinished(trainer):
                log.warning("not complete, hence no %s: %s; to resume: %s", run_folder.METRICS, reason, command(folder))
            else:
                run_folder.finish(folder, metrics)
            if (page := write_run_page(folder)) is not None:
                log.info("all of this run in one page: %s", page)
    return metrics


def begin(folder: Path, checkpoint: str | None) -> tuple[Path | None, int]:
    """The checkpoint to resume from, and its step; (None, 0) to begin anew.

    Raises:
        FileNotFoundError: the checkpoint asked for is not there.
        FileExistsError: the folder holds a run that this one would write over.
        ValueError: the checkpoint is damaged, or no training can resume from it.
    """
    if launch_environment.rank() == 0:
        run_folder.refuse_another(folder, checkpoint)
    found = None
    if checkpoint == "auto":
        found = newest_readable(folder)
    elif checkpoint is not None:
        found = Path(checkpoint), step_of(Path(checkpoint))
    if found:
        log.info("resuming from %s, step %d", *found)
    elif checkpoint is not None:
        hint = folders.hint(folder)
        log.log(logging.WARNING if hint else logging.INFO, "no checkpoint under %s: a new run%s", folder, hint)
    if found and other_run(found[0], folder):
        log.warning(
            "%s is of another run: this one is written to %s, and begins with that one's best checkpoint and CSV",
            found[0], folder,
        )  # fmt: skip
    if launch_environment.rank() == 0:
        run_folder.begin(folder)
        if found is None:
            forget_wandb_run(folder)
    return found or (None, 0)


def connect(nodes: DictConfig, step: int, checkpoint: Path | None, folder: Path, run: naming.Naming) -> list[Logger]:
    """The loggers that can be had, ready to resume at the step of a checkpoint."""
    made = (instantiate(node, **naming.named(node, run)) for node in nodes.values())
    loggers: list[Logger] = [logger for logger in made if logger is not None]
    for logger in loggers:
        if isinstance(logger, CsvLogger) and launch_environment.rank() == 0:
            logger.resume_at(step, None if checkpoint is None else other_run(checkpoint, folder))
    return loggers


def set_precision(matmul: str) -> None:
    """How exactly a GPU multiplies float32: by the config, whatever the card is called.

    Raises:
        ValueError: it is none of torch's three words.
    """
    if matmul not in ("highest", "high", "medium"):
        raise ValueError(f"matmul_precision takes highest, high (TF32) or medium (bfloat16), got {matmul}")
    torch.set_float32_matmul_precision(matmul)
    torch.backends.cudnn.allow_tf32 = matmul != "highest"


def trainer_of(options: DictConfig, callbacks: list[L.Callback], loggers: list[Logger]) -> L.Trainer:
    """The trainer with these callbacks, less those that its options switch off.

    Lightning refuses a bar or a keeper of checkpoints beside the option that says there is none, adds its own where
    there is neither, and writes a profile to no file: it goes to the run's folder.
    """
    if options.get("enable_progress_bar") is False:
        callbacks = [each for each in callbacks if not isinstance(each, ProgressBar)]
    if options.get("enable_checkpointing") is False:
        callbacks = [each for each in callbacks if not isinstance(each, Checkpoint)]
    extra: dict[str, Any] = {"plugins": [AtomicCheckpointIO(), GlobalBatchNorm()]}
    if "enable_progress_bar" not in options:
        extra["enable_progress_bar"] = any(isinstance(each, ProgressBar) for each in callbacks)
    if "enable_checkpointing" not in options:
        extra["enable_checkpointing"] = any(isinstance(each, Checkpoint) for each in callbacks)
    if (profiler := PROFILERS.get(options.get("profiler"))) is not None:
        extra["profiler"] = profiler(dirpath=options.default_root_dir, filename="profile")
    trainer: L.Trainer = instantiate(options, callbacks=callbacks, logger=loggers or False, **extra)
    return trainer


def quieten() -> None:
    """Log only Lightning's warnings, and each once: Lightning adds a handler beside Hydra's."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.WARNING)
    logging.getLogger("rasterio").setLevel(logging.WARNING)  # patches that it cannot read are counted and named by us
    warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")  # Lightning 2.6 uses what torch 2.14 deprecates
    warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # a frozen backbone is
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")  # a small data set has few
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
    warnings.filterwarnings(
        "ignore", message=".*recommended to use .*sync_dist=True.*"
    )  # ours are numbers of all ranks
    if launch_environment.rank() > 0:
        logging.getLogger().setLevel(logging.WARNING)


def explain(error: BaseException) -> str | None:
    """The message of an error that says what to do next, or None for a defect that wants its traceback."""
    while isinstance(error, InstantiationException) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{error}; make room and resume with ckpt_path=auto: the checkpoints saved so far are whole"
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in DEAD_PEER):
        return "another rank of this run has failed: its error is above or in its log; resume with ckpt_path=auto"
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
        return f"out of memory ({str(error).partition(chr(10))[0]}); a smaller dataset.batch_size or model needs less"
    if isinstance(error, MisconfigurationException):
        return f"lightning.Trainer: {str(error).splitlines()[0]}"
    if is_raised_on_purpose(error) and isinstance(error, (ValueError, OSError, ImportError, FloatingPointError)):
        return str(error)
    return None


def main(config: DictConfig) -> dict[str, float]:
    """`train` for the command line: bad input ends in its message, a defect in its traceback."""
    try:
        return train(config)
    except Exception as error:
        message = explain(error)
        if launch_environment.rank() == 0 and not isinstance(error, FileExistsError):  # that is of another run
            run_folder.fail(Path(config.output_dir), message or f"{type(error).__name__}: {error}")
        if message is None:
            folders.keep()
            log.error(
                "this is a defect of satclip or of a package it uses: please report it with the lines that follow"
            )
        if message is None or HydraConfig.get().mode is RunMode.MULTIRUN:
            raise
        log.debug("where it was raised", exc_info=True)
        sys.exit(f"error: {message}")
