"""What is said at the end of a run, of which epoch, and what the figures are of."""

import json
import logging
import re
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint

from satclip.data.sources.index_csv import read_index, write_index
from satclip.runs import ending, hydra_setup, run, run_folder
from satclip.runs.config import checks

CONF = Path(__file__).parents[2] / "conf"
REPORT = ["report.probe_places=300", "report.degrees=10.0"]


def train(imagery: Path, output: Path, *overrides: str) -> dict[str, float]:
    """One small run, whose learning rate is so high that its first epochs are its best."""
    small = [
        "experiment=blue_marble_one_hot", f"dataset.root={imagery}", "dataset.places=400", "dataset.patch_size=20",
        "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16", "dataset.batch_size=64", "vision.width=4",
        "pe_type.hidden_dim=16", "embedding_dim=8", "legendre_polys=5", "optimizer.lr=0.05", "scheduler=constant",
        "logger=csv", "~callbacks.progress", "trainer.log_every_n_steps=1",
    ]  # fmt: skip
    if not any(override.startswith("report") for override in overrides):
        small.append("report=null")
    return run.train(hydra_setup.compose(CONF, [*small, f"output_dir={output}", *overrides]))


def load(folder: Path, name: str) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / "checkpoints" / name, weights_only=True)
    return checkpoint


@pytest.fixture(scope="module")
def whole(imagery: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six epochs with a report, whose best epoch is not its last."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(imagery, folder, "epochs=6", *REPORT)
    return folder


def test_figures_are_of_the_best_weights_or_of_the_last_and_say_which(whole: Path) -> None:
    metrics, best = json.loads((whole / "metrics.json").read_text()), load(whole, "best.ckpt")
    assert metrics["best/epoch"] == best["epoch"] + 1 < metrics["last/epoch"] == 6
    assert metrics["best/step"] == best["global_step"] < metrics["last/step"]
    assert metrics["best/val/loss"] < metrics["last/val/loss"]
    for name in (
        "train/loss",
        "val/image_to_location/top10",
        "retrieval/image_to_location/top10",
        "probe/cells_10/100/elevation_R2",
        "gain/mean",  # what a sweep for usefulness compares: optimized_metric=best/gain/mean
    ):
        assert f"best/{name}" in metrics
        assert f"last/{name}" in metrics
    assert all(name.startswith(("best/", "last/")) for name in metrics)
    for way in ("image_to_location", "location_to_image"):  # searched among the same places with the same weights
        for figure in ("top1", "top10", "median_km"):
            for name in ("best", "last"):
                found, logged = metrics[f"{name}/retrieval/{way}/{figure}"], metrics[f"{name}/val/{way}/{figure}"]
                assert found == pytest.approx(logged, rel=1e-4), (name, way, figure)
    assert metrics["best/probe/mean"] != metrics["last/probe/mean"]
    assert f"best weights (epoch {best['epoch'] + 1})" in (whole / "retrieval.md").read_text()
    text = (whole / "benchmark" / "report.md").read_text()
    assert f"best weights (epoch {best['epoch'] + 1})" in text
    assert "last weights (epoch 6)" in text
    with (whole / "csv" / "metrics.csv").open() as file:
        assert "best/val/loss" in file.readline()


def test_the_validation_s_own_figures_are_kept_in_the_checkpoint_they_are_of(whole: Path) -> None:
    metrics, figures = json.loads((whole / "metrics.json").read_text()), load(whole, "best.ckpt")["figures"]
    assert {f"best/{name}": value for name, value in figures.items()}.items() <= metrics.items()


@pytest.mark.slow
def test_a_copy_that_is_resumed_describes_its_best_by_what_the_file_says(
    imagery: Path, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, copy = json.loads((whole / "metrics.json").read_text()), tmp_path / "copy"
    shutil.copytree(whole, copy)
    with caplog.at_level(logging.INFO):
        again = train(imagery, copy, "epochs=6", "ckpt_path=auto", *REPORT)
    line = f"best: epoch {before['best/epoch']:.0f} of 6, val/loss {before['best/val/loss']:.4g}"
    assert f"{line} (last {before['last/val/loss']:.4g})" in caplog.text
    for name, value in before.items():
        if not name.startswith(("last/train/temp", "last/train/learn")):
            assert again[name] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize(
    ("best", "asked", "early"), [(1, 500, True), (25, 500, True), (26, 500, False), (1, 19, False)]
)
def test_a_best_in_the_first_twentieth_of_the_epochs_is_warned_of(
    best: int, asked: int, early: bool, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = L.Trainer(max_epochs=asked, logger=False, accelerator="cpu", enable_progress_bar=False)
    keeper = ModelCheckpoint(monitor="val/loss")
    first, last = ending.Moment(best, 2, {"val/loss": 1.6278}), ending.Moment(asked, 500, {"val/loss": 3.0551})
    with caplog.at_level(logging.INFO):
        ending.say(trainer, keeper, first, last)
    assert f"best: epoch {best} of {asked}, val/loss 1.628 (last 3.055)" in caplog.text
    assert (f"the best epoch is {best} of {asked}" in caplog.text) is early
    assert ("callbacks=early_stopping ends such a run" in caplog.text) is early


def test_early_stopping_ends_a_run_that_is_complete_and_stays_ended(
    imagery: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stop = ["epochs=40", "callbacks=early_stopping", "callbacks.early_stopping.patience=2"]
    with caplog.at_level(logging.INFO):
        metrics = train(imagery, tmp_path, *stop)
    assert metrics["last/epoch"] == metrics["best/epoch"] + 2 < 40
    assert f"of {metrics['last/epoch']:.0f} (of 40 asked for)" in caplog.text
    assert run_folder.metrics_of(tmp_path) == metrics
    again = train(imagery, tmp_path, *stop, "ckpt_path=auto")
    assert again["last/step"] == metrics["last/step"]
    assert run_folder.metrics_of(tmp_path) is not None
    longer = train(imagery, tmp_path, *stop[:2], "callbacks.early_stopping.patience=4", "ckpt_path=auto")
    assert longer["last/epoch"] >= metrics["last/epoch"] + 2  # a new patience is taken


def test_early_stopping_resumed_waits_as_long_as_in_one_go(imagery: Path, tmp_path: Path) -> None:
    stop = ["callbacks=early_stopping", "callbacks.early_stopping.patience=3"]
    whole = train(imagery, tmp_path / "whole", "epochs=40", *stop)
    train(imagery, tmp_path / "cut", f"epochs={whole['last/epoch'] - 1:.0f}", *stop)
    resumed = train(imagery, tmp_path / "cut", "epochs=40", *stop, "ckpt_path=auto")
    assert resumed["last/epoch"] == whole["last/epoch"]
    assert resumed["best/val/loss"] == whole["best/val/loss"]


def test_without_a_best_checkpoint_the_last_weights_are_named(
    imagery: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        metrics = train(imagery, tmp_path, "epochs=2", "~callbacks.checkpoint")
    assert "no best checkpoint was kept: what follows is of the last epoch, 2" in caplog.text
    assert "37 validation places are fewer than 100" in caplog.text
    assert not [name for name in metrics if name.startswith("best/")]


@pytest.mark.slow
def test_a_regional_data_set_is_probed_and_drawn_where_it_lies(
    imagery: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    near = tmp_path / "imagery"
    shutil.copytree(imagery, near)
    index = read_index(near / "index.csv")
    squeezed = index.lonlat / torch.tensor([18.0, 18.0]) + torch.tensor([18.0, 8.0])  # into central Africa
    write_index(near / "index.csv", index.names, squeezed)
    with caplog.at_level(logging.INFO):
        train(near, tmp_path / "run", "epochs=1", "dataset.split_buffer_km=0", "dataset.split_degrees=2.0", *REPORT)
    probe, retrieval = ((tmp_path / "run" / f"{name}.md").read_text() for name in ("benchmark/report", "retrieval"))
    assert re.search(r"all places in \d\S*° E to 2\d\S*° E, [45]\S*° N to 1\d\S*° N; seed", probe)
    shown = re.search(r"but (\d+) of (\d+) on ground that was trained on", retrieval)
    assert shown is not None
    assert int(shown[1]) == int(shown[2]) > 0  # patches of 400 km, all within a thousand
    assert f"{shown[1]} of {shown[2]} validation patches show ground that training patches show" in caplog.text


def test_bounds_that_are_none_stop_a_run_before_it_trains(imagery: Path, tmp_path: Path) -> None:
    for bounds in ("[0,0,10]", "world", "[0,20,10,10]"):
        with pytest.raises(Exception, match=r"report\.bounds"):
            train(imagery, tmp_path, "epochs=1", *REPORT, f"report.bounds={bounds}")
    assert not list(tmp_path.rglob("*.ckpt"))


def test_a_picture_from_outside_the_package_is_named_by_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_pictures.py").write_text(
        "def stripes(encoder, path, *, colour, region):\n    path.write_text(f'{colour} {region}')\n    return path\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    picture = "+report.pictures.mine={_target_: my_pictures.stripes, _partial_: true, colour: red}"
    config = hydra_setup.compose(CONF, ["experiment=blue_marble", picture, "~report.pictures.globe"])
    checks.check(config)
    pictures = instantiate(config.report).pictures
    assert list(pictures) == ["mine"]
    drawn = pictures["mine"](None, tmp_path / "mine.png", region=None)
    assert drawn.read_text() == "red None"
