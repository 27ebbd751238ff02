"""Labels predicted in the validation cells while an encoder is trained."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from satclip.data.split.rule import block_split
from satclip.downstream.contract import Labels
from satclip.downstream.tasks import TaskDataMissing
from satclip.embedding import embed
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss
from satclip.sphere import uniform_on_sphere
from satclip.training.callbacks.probe import Probe
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw, cosine
from satclip.vision import TinyCNN

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


def build() -> ContrastiveModule:
    torch.manual_seed(0)
    return ContrastiveModule(
        LocationEncoder(SphericalHarmonics(4), partial(Siren, hidden_dim=16), 8),
        TinyCNN(in_channels=2, embedding_dim=8, width=4),
        ClipLoss(),
        partial(adamw, lr=1e-2, weight_decay=0.01),
        partial(cosine, warmup=0.0),
    )


def loader() -> "torch.utils.data.DataLoader[dict[str, Tensor]]":
    generator = torch.Generator().manual_seed(1)
    batches = [
        {
            "image": torch.rand(8, 2, 16, 16, generator=generator),
            "lonlat": uniform_on_sphere(8, generator),
            "id": torch.arange(8) + number * 8,
        }
        for number in range(2)
    ]
    return torch.utils.data.DataLoader(batches, batch_size=None)  # type: ignore[arg-type]


def north() -> np.ndarray:
    return PLACES[:, 1].numpy().copy()


def train(folder: Path, *callbacks: L.Callback, epochs: int = 4) -> tuple[ContrastiveModule, list[dict[str, str]]]:
    """Train; the module, and what the CSV logger kept."""
    import csv

    module = build()
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


def test_what_the_vectors_hold_is_found_in_cells_that_taught_nothing() -> None:
    module = build()
    vectors = embed(module.model.location_encoder, PLACES).double().numpy()
    noise = np.random.default_rng(0).normal(size=600)
    probe = Probe({"linear": Given(vectors @ np.arange(8.0)), "noise": Given(noise)}, labels=200)
    probe.on_fit_start(L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False), module)
    found = probe.figures(module.model.location_encoder)
    assert found["probe/linear/r2"] > 0.99
    assert found["probe/noise/r2"] < 0.1


def test_the_test_places_are_those_of_the_validation_cells_and_the_labels_lie_in_others() -> None:
    probe = Probe({"north": Given(north())}, labels=100)
    probe.on_fit_start(L.Trainer(logger=False, accelerator="cpu", enable_checkpointing=False), build())
    labels, draws = probe._ready["north"]
    held = block_split(torch.from_numpy(labels.lonlat), 0.1, 5.0).numpy()
    for draw in draws:
        assert held[draw.test].all()
        assert not held[draw.pool].any()
        assert len(draw.test) == held.sum()


def test_it_is_logged_every_so_many_epochs_and_chooses_the_checkpoint(tmp_path: Path) -> None:
    sides = (north() > 0).astype(np.int64)
    probe = Probe({"north": Given(north()), "side": Given(sides, ("south", "north"))}, every_n_epochs=2, labels=100)
    keeper = ModelCheckpoint(tmp_path, "best", monitor="probe/north/r2", mode="max")
    _, rows = train(tmp_path, probe, keeper)
    scores = logged(rows, "probe/north/r2")
    assert len(scores) == len(logged(rows, "probe/side/accuracy")) == 2  # of four validations
    assert keeper.best_model_score is not None
    assert float(keeper.best_model_score) == pytest.approx(max(scores), abs=1e-6)


def test_a_training_that_is_probed_is_the_same_training(tmp_path: Path) -> None:
    plain, _ = train(tmp_path / "plain")
    probed, _ = train(tmp_path / "probed", Probe({"north": Given(north())}, every_n_epochs=1, labels=100))
    for name, weight in plain.state_dict().items():
        assert torch.equal(weight, probed.state_dict()[name]), name
    assert probed.model.location_encoder.training == plain.model.location_encoder.training


def test_a_task_that_is_not_here_is_named_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
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
