"""The end of a run: its figures, those of the best weights and of the last, and which epoch they describe."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from satclip.data.placed_datamodule import PlacedDataModule
from satclip.training.callbacks.resumable import Resumable
from satclip.training.final_report import FinalReport, copied
from satclip.training.module import ContrastiveModule

log = logging.getLogger(__name__)
EARLY = 0.05  # of the epochs; a best within them says that the rest of the training did harm
FEW = 100  # validation places


@dataclass(frozen=True)
class Moment:
    """Weights of a run, by where they stood in it.

    Attributes:
        epoch: the one they come from, counted from 1.
        step: optimiser steps behind them.
        figures: losses, and retrieval in the validation, as they were logged.
        weights: None for those that the model has.
    """

    epoch: int
    step: int
    figures: Mapping[str, float]
    weights: Mapping[str, Any] | None = field(default=None, repr=False)

    def named(self, name: str) -> dict[str, float]:
        """Its figures as `best/val/loss` and so on, with `best/epoch` and `best/step`."""
        where = {"epoch": float(self.epoch), "step": float(self.step)}
        return {f"{name}/{key}": value for key, value in {**where, **self.figures}.items()}


def conclude(
    trainer: L.Trainer,
    model: ContrastiveModule,
    data: PlacedDataModule,
    folder: Path,
    loggers: Sequence[Logger],
    report: FinalReport | None,
) -> dict[str, float]:
    """Say which epoch was the best, report on its weights, and give the loggers the figures of best and last."""
    keeper = next((each for each in trainer.callbacks if isinstance(each, ModelCheckpoint)), None)  # type: ignore[attr-defined]
    last, best = last_moment(trainer), None if keeper is None else best_moment(keeper)
    metrics = last.named("last") | ({} if best is None else best.named("best"))
    say(trainer, keeper, best, last)
    if len(data.val_lonlat) < FEW:
        log.warning(
            "%d validation places are fewer than %d: which epoch is best, and all retrieval, is mostly luck",
            *(len(data.val_lonlat), FEW),
        )
    if report is not None:
        model.to(trainer.strategy.root_device)  # the end of the training has brought it back to the CPU
        lasting, beside = f"last weights (epoch {last.epoch})", {}
        if best is not None and best.weights is not None and best.step != last.step:
            beside = {lasting: copied(model.model.location_encoder)}
            metrics |= _named("last", report.retrieval(model.model, data))
            model.load_state_dict(best.weights)
        described = lasting if best is None else f"best weights (epoch {best.epoch})"
        found = report(model.model, data, folder, loggers, described=described, recipe=model.recipe, beside=beside)
        metrics |= _named("last" if best is None else "best", found.figures)
        for figures in (found.figures if best is not None and best.step == last.step else {}, *found.beside.values()):
            metrics |= _named("last", figures)
    for logger in loggers:
        logger.log_metrics(metrics, step=trainer.global_step)
        logger.save()
    return metrics


def last_moment(trainer: L.Trainer) -> Moment:
    """Where the training has ended; where it had ended before this process began, by what `last.ckpt` says."""
    figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
    resumable = next((each for each in trainer.callbacks if isinstance(each, Resumable)), None)  # type: ignore[attr-defined]
    if not figures and resumable is not None and resumable.path.exists():
        figures = dict(_load(resumable.path).figures)
    return Moment(max(1, trainer.current_epoch), trainer.global_step, figures)


def best_moment(keeper: ModelCheckpoint) -> Moment | None:
    """The best weights that were kept, by what their own file says; None, with a warning, where they are gone."""
    if not keeper.best_model_path:
        return None
    kept = Path(keeper.best_model_path)
    here = Path(keeper.dirpath or kept.parent) / kept.name  # the folder may have been moved since
    path = next((each for each in (here, kept) if each.exists()), None)
    if path is None:
        log.warning("the best checkpoint %s is gone: the last weights are reported on", kept)
        return None
    found = _load(path)
    if keeper.monitor is not None and keeper.best_model_score is not None and keeper.monitor not in found.figures:
        score = {keeper.monitor: float(keeper.best_model_score)}  # a file from before figures were kept in it
        return Moment(found.epoch, found.step, {**found.figures, **score}, found.weights)
    return found


def say(trainer: L.Trainer, keeper: ModelCheckpoint | None, best: Moment | None, last: Moment) -> None:
    """One line that says which epoch was the best, and a warning where it came suspiciously early."""
    asked = trainer.max_epochs if trainer.max_epochs is not None and trainer.max_epochs > last.epoch else None
    epochs = f"{last.epoch}" + (f" (of {asked} asked for)" if asked else "")
    if keeper is None or best is None:
        log.info("no best checkpoint was kept: what follows is of the last epoch, %s", epochs)
        return
    name = keeper.monitor or "val/loss"
    now, then = best.figures.get(name), last.figures.get(name)
    score = "" if now is None else f", {name} {now:.4g}" + ("" if then is None else f" (last {then:.4g})")
    log.info("best: epoch %d of %s%s: %s", best.epoch, epochs, score, keeper.best_model_path)
    if best.epoch <= EARLY * last.epoch:
        log.warning(
            "the best epoch is %d of %d: what was trained after it has made %s worse. callbacks=early_stopping ends "
            "such a run; a lower optimizer.lr, more weight decay or more data may help",
            *(best.epoch, last.epoch, name),
        )


def _named(name: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}/{key}": value for key, value in figures.items()}


def _load(path: Path) -> Moment:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    figures = checkpoint.get("figures", {})
    return Moment(checkpoint["epoch"] + 1, checkpoint["global_step"], figures, checkpoint["state_dict"])
