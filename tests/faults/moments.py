"""A tiny training that is hurt at an exact moment, in this process or in one of several that train together.

As a program (`python moments.py SHARDS FOLDER`, one process a rank) it goes through every combination in turn.
"""

import csv
import itertools
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer

from satclip.data.datamodule import S2DataModule
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss
from satclip.runs.find_checkpoint import step_of
from satclip.training.batch_norm import GlobalBatchNorm
from satclip.training.callbacks.best_checkpoint import BestCheckpoint
from satclip.training.callbacks.finite_loss import FiniteLoss
from satclip.training.callbacks.resumable import Resumable, Stopped, unfinished
from satclip.training.checkpoint_io import AtomicCheckpointIO
from satclip.training.loggers.csv import CsvLogger
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw, cosine
from satclip.vision import TinyCNN

EPOCHS, BATCHES = 2, 14
FAULTS = ("signal", "time", "kill")
ACCUMULATE = (1, 4)
INTERVALS = (1.0, 0.5, 3)
PRODUCT = list(itertools.product(FAULTS, ACCUMULATE, INTERVALS))
VALIDATED = {1.0: 14, 0.5: 7, 3: 12}  # batches behind a validation; with 4 to a step, 7 are in the middle of one
PARTS = ("epoch", "global_step", "state_dict", "optimizer_states", "lr_schedulers")
COLUMNS = ("train/loss", "train/learning_rate", "val/loss", "val/image_to_location/top10")
Moment = tuple[str, int, int]  # in the training: epoch and batch; in a validation: epoch and batches behind it
LIMIT = 100.0  # seconds
SCHEDULE = partial(cosine, warmup=0.1)


class Killed(BaseException):
    """As by a signal that nobody can catch."""


class Hurt(Callback):
    """Does its worst at a moment, once."""

    def __init__(self, fault: str, moment: Moment | None) -> None:
        self.fault, self.moment, self.seconds = fault, moment, 0.0

    def on_train_batch_end(self, trainer: L.Trainer, module: L.LightningModule, o: Any, b: Any, batch_idx: int) -> None:
        self._at(("train", trainer.current_epoch, batch_idx))

    def on_validation_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        done = trainer.fit_loop.epoch_loop.batch_progress.current.processed
        self._at(("validation", trainer.current_epoch, done))

    def _at(self, moment: Moment) -> None:
        if moment != self.moment:
            return
        self.moment = None
        if self.fault == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        elif self.fault == "kill":
            raise Killed
        else:
            self.seconds = 2 * LIMIT


class Clock(Timer):
    """Lightning's, by whose clock it is as late as a `Hurt` says."""

    def __init__(self, hurt: Hurt) -> None:
        super().__init__(timedelta(seconds=LIMIT))
        self.hurt = hurt

    def time_elapsed(self, stage: str = "train") -> float:
        return self.hurt.seconds


def shards(root: Path) -> S2DataModule:
    """The data, in memory."""
    names = ["a", "b", "c"]
    data = S2DataModule(
        root, bands=names, file_bands=names, scale=200.0, image_size=16, batch_size=4, num_workers=0, split="random",
        val_fraction=0.2, keep_in_memory=True, shuffle_window=2,
    )  # fmt: skip
    data.setup()
    return data


def fit(
    data: S2DataModule, folder: Path, *hurt: Callback, ckpt: str | None = "auto", every: int | None = None,
    lr: float = 1e-2, decay: float = 0.01, schedule: Any = SCHEDULE,
    **options: Any,
) -> L.Trainer:  # fmt: skip
    """Train, or resume, in a folder; the files are those of a run."""
    torch.manual_seed(0)
    last = folder / "checkpoints" / "last.ckpt"
    found = (last if last.exists() else None) if ckpt == "auto" else ckpt
    module = ContrastiveModule(
        LocationEncoder(SphericalHarmonics(3), partial(Siren, hidden_dim=8, dropout=0.1), 8),
        TinyCNN(in_channels=3, embedding_dim=8, width=2), ClipLoss(), partial(adamw, lr=lr, weight_decay=decay),
        schedule, cached_batches=2,
    )  # fmt: skip
    logger = CsvLogger(str(folder / "csv"))
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        logger.resume_at(step_of(Path(found)) if found else 0)
    callbacks = [
        *hurt,
        *(Clock(each) for each in hurt if isinstance(each, Hurt)),
        FiniteLoss(str(folder)),
        EarlyStopping("val/loss", patience=100),
        BestCheckpoint(
            folder / "checkpoints", "best", "val/loss", auto_insert_metric_name=False, enable_version_counter=False,
            save_on_train_epoch_end=False,
        ),
        Resumable(str(folder / "checkpoints"), every),
    ]  # fmt: skip
    ranks = int(os.environ.get("RANKS", "1"))
    trainer = L.Trainer(
        **{"max_epochs": EPOCHS, "limit_train_batches": BATCHES, "log_every_n_steps": 1, **options},
        accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto", logger=logger, callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), GlobalBatchNorm()], enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    fresh = S2DataModule.__new__(S2DataModule)
    fresh.__dict__.update(data.__dict__, trainer=None, _state=None, resumed_at=None, _bad={})
    trainer.fit(module, fresh, ckpt_path=found)
    return trainer


def moments(fault: str, interval: float) -> list[Moment]:
    """Where a run is hurt, one after the other."""
    validation = ("validation", 0, VALIDATED[interval])
    return {
        "signal": [("train", 0, 1), validation, ("train", 1, 5), ("train", 1, 13)],
        "time": [("train", 0, 5), ("train", 0, 13), ("train", 1, 8)],
        "kill": [("train", 0, 5), validation, ("train", 1, 10)],
    }[fault]


def hurt_and_resume(data: S2DataModule, folder: Path, fault: str, at: Sequence[Moment], **options: Any) -> None:
    """Run to the end past all the moments of a fault."""
    every = 2 if fault == "kill" else None
    for moment in at:
        hurt = Hurt(fault, moment)
        try:
            trainer = fit(data, folder, hurt, every=every, **options)
            assert fault == "time", f"{fault} at {moment} had no effect"
            assert unfinished(trainer), f"{moment}: taken for complete"
        except (Stopped, Killed) as end:
            kind, code = {"signal": (Stopped, 128 + signal.SIGTERM), "kill": (Killed, None)}[fault]
            if not isinstance(end, kind) or getattr(end, "code", None) not in (code, 0):
                raise
        assert hurt.moment is None, f"{moment} was never reached"
    assert unfinished(fit(data, folder, every=every, **options)) is None


def rows(folder: Path, column: str) -> list[tuple[str, str, str]]:
    """Step, epoch and value of each row of the CSV that has it."""
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [(row["step"], row["epoch"], row[column]) for row in csv.DictReader(file) if row.get(column)]


def differences(folder: Path, whole: Path) -> list[str]:
    """In what two runs are not the same."""
    found = []
    for name in ("last.ckpt", "best.ckpt"):
        one, other = (torch.load(run / "checkpoints" / name, weights_only=True) for run in (folder, whole))
        for saved in (one, other):
            saved |= {key: state for key, state in saved.pop("callbacks").items() if key != "Resumable"}
        parts = [key for key in one if key in PARTS or key.startswith(("Model", "Early"))]
        found += [f"{name}: {part}" for part in parts if not equal(one[part], other.get(part))]
    pairs = {column: (rows(folder, column), rows(whole, column)) for column in COLUMNS}
    return found + [f"{column}: {one} instead of {other}" for column, (one, other) in pairs.items() if one != other]


def equal(one: Any, other: Any) -> bool:
    """The same to the last bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


def main(root: Path, folder: Path, chosen: Sequence[tuple[str, int, float]] = PRODUCT) -> None:
    """Every combination; ends with the first that differs."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    data, rank = shards(root), int(os.environ["LOCAL_RANK"])
    for fault, accumulate, interval in chosen:
        whole = folder / f"whole-{accumulate}-{interval}"
        if not (whole / "checkpoints").exists():
            fit(data, whole, accumulate_grad_batches=accumulate, val_check_interval=interval)
        cut = folder / f"{fault}-{accumulate}-{interval}"
        options = {"accumulate_grad_batches": accumulate, "val_check_interval": interval}
        hurt_and_resume(data, cut, fault, moments(fault, interval), **options)
        torch.distributed.barrier()
        if found := differences(cut, whole):
            raise SystemExit(f"{cut.name}: {found}")
        if rank == 0:
            print(f"{cut.name} is the same", flush=True)  # noqa: T201 - counted by the test


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
