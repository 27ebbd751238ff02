"""One line an epoch, for a log that shows no progress bar: a file, SLURM, a pipe."""

import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import EarlyStopping
from torch import Tensor

from satclip import ranks
from satclip.training.callbacks.resumable import Resumable

log = logging.getLogger(__name__)
RETRIEVAL = "val/image_to_location/"


class EpochLines(L.Callback):
    """Logs one line after each epoch: losses, retrieval, probes, samples per second and the time left.

    On a terminal the progress bar says it, and a line would tear the bar: there it goes to the log files alone. Samples
    per second leave the validation out; the time left has it in. Figures of a validation that this epoch did not have
    are left out.
    """

    def __init__(self) -> None:
        self._samples = 0
        self._trained_from = self._validated = self._validating_from = 0.0
        self._began, self._first_step = 0.0, 0
        self._fresh = False

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the run: a run that resumes counts its own steps alone."""
        self._began, self._first_step = time.monotonic(), trainer.global_step
        self._restart()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._restart()

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Mapping[str, Tensor],
        batch_idx: int,
    ) -> None:
        """Count its samples."""
        self._samples += len(batch["id"]) * ranks.world_size()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Note the time."""
        self._validating_from = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave it out of the speed."""
        self._validated += time.monotonic() - self._validating_from
        self._fresh = not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the line, on the first rank."""
        if not trainer.is_global_zero:
            return
        of = f" of {trainer.max_epochs}" if trainer.max_epochs is not None and trainer.max_epochs > 0 else ""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        speed = f"{self._speed():,.0f} samples/s" if self._samples else ""  # none in an epoch end that was made up for
        parts = [*in_words(figures, validated=self._fresh), speed, self._left(trainer)]
        _tell(f"epoch {trainer.current_epoch + 1}{of}: {', '.join(filter(None, parts))}")

    def _restart(self) -> None:
        self._samples, self._validated, self._fresh = 0, 0.0, False
        self._trained_from = time.monotonic()

    def _speed(self) -> float:
        return self._samples / max(time.monotonic() - self._trained_from - self._validated, 1e-9)

    def _left(self, trainer: L.Trainer) -> str:
        """The time that the remaining steps will take at the pace so far, validation and all."""
        done, all_steps = trainer.global_step - self._first_step, trainer.estimated_stepping_batches
        limits = [each.seconds_left() for each in trainer.callbacks if isinstance(each, Resumable)]  # type: ignore[attr-defined]
        seconds = min([math.inf, *(each for each in limits if each is not None)])
        if done > 0 and math.isfinite(all_steps):
            pace = (time.monotonic() - self._began) / done
            seconds = min(seconds, max(0.0, all_steps - trainer.global_step) * pace)
        if not math.isfinite(seconds):
            return ""
        stops = any(isinstance(each, EarlyStopping) for each in trainer.callbacks)  # type: ignore[attr-defined]
        return f"{'at most ' if stops else ''}{duration(seconds)} left"


def in_words(figures: Mapping[str, float], *, validated: bool) -> Iterator[str]:
    """The figures of an epoch as parts of a line, those of the validation only where there was one."""
    if "train/loss" in figures:
        yield f"loss {figures['train/loss']:#.4g}"
    if not validated:
        return
    if "val/loss" in figures:
        yield f"val/loss {figures['val/loss']:#.4g}"
    if f"{RETRIEVAL}top10" in figures:
        far = f" ({figures[f'{RETRIEVAL}median_km']:,.0f} km)" if f"{RETRIEVAL}median_km" in figures else ""
        yield f"retrieval top10 {figures[f'{RETRIEVAL}top10']:.3f}{far}"
    yield from (f"{name} {value:.3f}" for name, value in sorted(figures.items()) if name.startswith("probe/"))


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `5 h 7 min`, `2 d 3 h`."""
    whole = round(seconds)
    for size, unit, below, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // below} {part}"
    return f"{whole} s"


def _tell(line: str) -> None:
    """Log a line, but not onto a terminal."""
    if not sys.stdout.isatty():
        log.info("%s", line)
        return
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, line, (), None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)
