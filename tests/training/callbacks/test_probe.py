"""Labels predicted in the validation cells while an encoder is trained."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from satclip.data.split.rule import block_split
from satclip.downstream.contract import Labels
from satclip.downstream.tasks import TaskDataMissing
from satclip.embedding import embed
from satclip.sphere import uniform_on_sphere
from satclip.training.callbacks.probe import Probe
from satclip.training.module import ContrastiveModule

Build = Callable[[], ContrastiveModule]
Train = Callable[..., tuple[ContrastiveModule, list[dict[str, str]]]]
PLACES = uniform_on_sphere(600, torch.Generator().manual_seed(4))


@dataclass(frozen=True)
class Given:
    """A task whose labels are given; None: they are not here."""

    target: Any
    classes: tuple[str, ...] | None = None

    def load(self) -> Labels:
        if self.target is None:
            raise TaskDataMissing("given", "python scripts/fetch_tasks.py given")
        return Labels("given", PLACES.numpy(), self.target, self.classes)


def north() -> np.ndarray:
    return PLACES[:, 1].numpy().copy()


@pytest.fixture
def train(small_module: Build, loader: Callable[[], Any]) -> Train:
    """Train the small model; the module, and what the CSV logger kept."""

    def run(folder: Path, *callbacks: L.Callback, epochs: int = 4) -> tuple[ContrastiveModule, list[dict[str, str]]]:
        return _train(small_module(), loader, folder, *callbacks, epochs=epochs)

    return run


def _train(
    module: ContrastiveModule, loader: Callable[[], Any], folder: Path, *callbacks: L.Callback, epochs: int
) -> tuple[ContrastiveModule, list[dict[str, str]]]:
    import csv

    trainer = L.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=CSVLogger(folder, name="", version=""),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(each, ModelCheckpoint) for each in callbacks),
        log_every_n_steps=1,
    )
    torch.manual_seed(5)
    trainer.fit(module, loader(), loader())
    return module, list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def logged(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row.get(name)]


def test_what_the_vectors_hold_is_found_in_cells_that_taught_nothing(small_module: Build) -> None:
    module = small_module()
    vectors = embed(module.model.location_encoder, PLACES).double().numpy()
    noise = np.random.default_rng(0).normal(size=600)
    probe = Probe({"linear": Given(vectors @ np.arange(8.0)), "noise": Given(noise)}, labels=200)
    probe.on_fit_start(L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False), module)
    found = probe.figures(module.model.location_encoder)
    assert found["probe/linear/r2"] > 0.99
    assert found["probe/noise/r2"] < 0.1


def test_the_test_places_are_those_of_the_validation_cells_and_the_labels_lie_in_others(small_module: Build) -> None:
    probe = Probe({"north": Given(north())}, labels=100)
    probe.on_fit_start(L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False), small_module())
    labels, draws = probe._ready["north"]
    held = block_split(torch.from_numpy(labels.lonlat), 0.1, 5.0).numpy()
    for draw in draws:
        assert held[draw.test].all()
        assert not held[draw.pool].any()
        assert len(draw.test) == held.sum()


def test_it_is_logged_every_so_many_epochs_and_chooses_the_checkpoint(train: Train, tmp_path: Path) -> None:
    sides = (north() > 0).astype(np.int64)
    probe = Probe({"north": Given(north()), "side": Given(sides, ("south", "north"))}, every_n_epochs=2, labels=100)
    keeper = ModelCheckpoint(tmp_path, "best", monitor="probe/north/r2", mode="max")
    _, rows = train(tmp_path, probe, keeper)
    scores = logged(rows, "probe/north/r2")
    assert len(scores) == len(logged(rows, "probe/side/accuracy")) == 2  # of four validations
    assert keeper.best_model_score is not None
    assert float(keeper.best_model_score) == pytest.approx(max(scores), abs=1e-6)


def test_a_training_that_is_probed_is_the_same_training(train: Train, tmp_path: Path) -> None:
    plain, _ = train(tmp_path / "plain")
    probed, _ = train(tmp_path / "probed", Probe({"north": Given(north())}, every_n_epochs=1, labels=100))
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, probed.state_dict()[name]), name
    assert probed.model.location_encoder.training == plain.model.location_encoder.training


def test_a_task_that_is_not_here_is_named_and_the_others_go_on(
    train: Train, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        _, rows = train(tmp_path, Probe({"gone": Given(None), "north": Given(north())}, labels=100), epochs=1)
    assert "the probe of gone is left out: given: no labels here; python scripts/fetch_tasks.py given" in caplog.text
    assert logged(rows, "probe/north/r2")


def test_the_last_figure_outlives_a_restart() -> None:
    first = Probe({"north": Given(north())})
    first._figures = {"probe/north/r2": 0.5}
    second = Probe({"north": Given(north())})
    second.load_state_dict(first.state_dict())
    assert second._figures == {"probe/north/r2": 0.5}


@pytest.mark.parametrize("options", [{"every_n_epochs": 0}, {"labels": 5}, {"places": 20}, {"draws": 0}, {"tasks": {}}])
def test_numbers_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"callbacks\.probe"):
        Probe(**{"tasks": {"north": Given(north())}, **options})
