"""What the location encoder is good for, while it is trained: labels predicted in the validation cells."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch

from satclip.data.split.rule import block_split
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.answers import Candidate, Goal
from satclip.downstream.evaluate.holdouts import Draw, cell_of, keyed
from satclip.downstream.evaluate.inner_folds import inner_folds
from satclip.downstream.evaluate.ridge_probe import RidgeProbe
from satclip.downstream.evaluate.scores import FLOOR, accuracy, r_squared
from satclip.downstream.evaluate.threads import one_thread
from satclip.downstream.tasks import Task, TaskDataMissing
from satclip.embedding import embed
from satclip.location.encoder import LocationEncoder
from satclip.model import TwoTowers

log = logging.getLogger(__name__)
FEWEST = 30  # places to teach and to test, below which a figure is luck
SHARE = 0.05  # of the time, above which it is said how to probe less often


class Probe(L.Callback):
    """Every N epochs, with the validation: `probe/<task>/r2` or `probe/<task>/accuracy`, for logs and checkpoints.

    The test places are those of the cells that the data set holds out for validation (their imagery is not trained on
    under split=block), the labels lie in the other cells. The contrastive loss keeps improving after the usefulness
    of an encoder has peaked, so `callbacks.checkpoint.monitor=probe/elevation/r2` with `mode: max` may keep a better
    one. A figure that has chosen a checkpoint is no longer a fair test of it: `satclip evaluate` draws other cells.

    Between two probes the last figure stands for the checkpoint; it is logged once.

    Args:
        tasks: by the name under which they are logged; those whose labels are not here are named and left out.
        every_n_epochs: validations are probed where their epoch is a multiple of this.
        labels: the probe is taught with so many.
        places: of each task so many are used at most.
        draws: of the labels, whose scores are averaged.
        seed: of the draws.

    Raises:
        ValueError: a number is not positive, or there is no task.
    """

    def __init__(
        self,
        tasks: Mapping[str, Task],
        every_n_epochs: int = 5,
        labels: int = 300,
        places: int = 2000,
        draws: int = 3,
        seed: int = 0,
    ) -> None:
        for name, value in (("every_n_epochs", every_n_epochs), ("draws", draws)):
            if value < 1:
                raise ValueError(f"callbacks.probe.{name} must be 1 at least, got {value}")
        if labels < FEWEST or places < 2 * FEWEST:
            raise ValueError(f"callbacks.probe needs labels of {FEWEST} and places of {2 * FEWEST} at least")
        if not tasks:
            raise ValueError("callbacks.probe.tasks names no task; ~callbacks.probe drops the probe")
        self.tasks, self.every_n_epochs, self.labels, self.places = dict(tasks), every_n_epochs, labels, places
        self.draws, self.seed = draws, seed
        self._ready: dict[str, tuple[Labels, list[Draw]]] = {}
        self._figures: dict[str, float] = {}
        self._spent = 0.0
        self._since = 0.0
        self._told = False

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Load the labels and deal the cells, on the first rank."""
        if trainer.is_global_zero and not self._ready:
            split = getattr(getattr(trainer, "datamodule", None), "split", None)
            fraction, degrees = getattr(split, "fraction", 0.1), getattr(split, "degrees", 5.0)
            for name, task in self.tasks.items():
                self._load(name, task, fraction, degrees)
            if not self._ready:
                log.warning("no task is probed during the training; callbacks.checkpoint.monitor cannot be a probe")
        self._since, self._spent = time.monotonic(), 0.0

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Probe, on the first rank; every rank logs what it found."""
        if trainer.sanity_checking:
            return
        due = not self._figures or trainer.current_epoch % self.every_n_epochs == 0
        if due:
            start = time.monotonic()
            towers = pl_module.model
            assert isinstance(towers, TwoTowers)
            found = self.figures(towers.location_encoder) if trainer.is_global_zero else {}
            self._figures = trainer.strategy.broadcast(found, src=0)
            self._spent += time.monotonic() - start
            self._mind_the_time(time.monotonic() - self._since)
            for logger in trainer.loggers:
                logger.log_metrics(self._figures, step=trainer.global_step)
        for name, value in self._figures.items():  # for the checkpoint, which asks at every validation
            pl_module.log(name, value, logger=False, batch_size=1)

    def figures(self, encoder: LocationEncoder) -> dict[str, float]:
        """By name, the mean score over the draws; R2 not below -1."""
        found = {}
        with one_thread():
            for name, (labels, draws) in self._ready.items():
                vectors = embed(encoder, torch.from_numpy(labels.lonlat)).float().numpy()
                metric = "r2" if labels.classes is None else "accuracy"
                scores = [self._score(labels, vectors, draw) for draw in draws]
                found[f"probe/{name}/{metric}"] = float(np.mean(scores))
        return found

    def state_dict(self) -> dict[str, Any]:
        """The last figures, which stand until the next probe."""
        return {"figures": self._figures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them over."""
        self._figures = dict(state_dict["figures"])

    def _load(self, name: str, task: Task, fraction: float, degrees: float) -> None:
        try:
            labels = task.load()
        except (TaskDataMissing, ModuleNotFoundError) as error:
            log.warning("the probe of %s is left out: %s", name, error)
            return
        rows = np.sort(keyed(self.seed, "places", len(labels.target)).permutation(len(labels.target))[: self.places])
        labels = labels.take(rows)
        held = block_split(torch.from_numpy(labels.lonlat), fraction, degrees).numpy()
        test, others = np.flatnonzero(held), np.flatnonzero(~held)
        if min(len(test), len(others)) < FEWEST:
            log.warning(
                "the probe of %s is left out: %d places lie in validation cells and %d beside them, %d are needed",
                *(name, len(test), len(others), FEWEST),
            )
            return
        cells = cell_of(labels.lonlat, degrees)
        draws = [
            Draw("cells", number, "", test, keyed(self.seed, "probe", number).permutation(others), cells, cells)
            for number in range(self.draws)
        ]
        self._ready[name] = labels, draws

    def _score(self, labels: Labels, vectors: np.ndarray[Any, np.dtype[np.float32]], draw: Draw) -> float:
        train = draw.pool[: self.labels]
        goal = Goal(labels.target, None if labels.classes is None else len(labels.classes))
        inner = inner_folds(draw, train, labels.lonlat, folds=3, seed=self.seed)
        (answer,) = RidgeProbe(scalings=("z-score",)).answers([Candidate("", vectors)], [goal], train, draw.test, inner)
        truth = labels.target[draw.test]
        if labels.classes is None:
            return max(FLOOR, r_squared(answer.predicted, truth.astype(np.float64)))
        return accuracy(answer.predicted, truth.astype(np.int64))

    def _mind_the_time(self, since: float) -> None:
        if not self._told and since > 0 and self._spent > SHARE * since and since > 60:
            self._told = True
            often = int(np.ceil(self.every_n_epochs * self._spent / (SHARE * since)))
            log.warning(
                "probing takes %.0f %% of the training's time; callbacks.probe.every_n_epochs=%d would take %.0f %%",
                *(100 * self._spent / since, often, 100 * SHARE),
            )
