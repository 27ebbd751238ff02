"""What misled a new user, each by the command that did, with what is right now.

Tested by the very same command elsewhere: a latitude out of range in columns that were found by name
(`test_a_coordinate_that_is_none_is_named_by_column_and_value`), early stopping
(`test_early_stopping_ends_a_run_that_is_complete_and_stays_ended`), places that are none for `satclip similar`, arrays
and lists for an encoder, run folders as a model (tests/cli/test_pictures.py, tests/location/test_inputs.py,
tests/checkpoint/test_sources.py).
"""

import csv
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
import yaml

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
Tell = Callable[..., Any]
NOISE = (
    r"HYDRA|fontManager|eval mode|anonymous|Warning|warnings\.warn|does not have many workers|num_workers|GPU available"
)


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs in a folder of its own, of somebody who is not logged in anywhere."""
    (tmp_path / "fresh").mkdir()
    (once / "home").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "fresh")
    for name in ("WANDB_MODE", "WANDB_SILENT", "WANDB_API_KEY", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(once / "home"))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def loud(small: list[str]) -> list[str]:
    """The small run with its progress bar, and a report where it is not forbidden."""
    return [each for each in small if each not in ("report=null", "~callbacks.progress") and "progress_bar" not in each]


@pytest.fixture
def finished(once: Path, loud: list[str], tell: Tell, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ordinary run of forty epochs that learns nothing after its second one, made once and moved since.

    What it said lies beside it.
    """
    if not (once / "moved").exists():
        options = ["epochs=40", "optimizer.lr=1e-30", "logger=wandb", "report.probe_places=300", "report.degrees=10.0"]
        with monkeypatch.context() as elsewhere:
            elsewhere.chdir(once)
            said = tell(sys.executable, project / "train.py", *loud, *options).stdout
        (once / "said.txt").write_text(said)
        (folder,) = once.glob("outputs/*/*")
        shutil.move(folder, once / "moved")
    return once / "moved"


def best_of(folder: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    return checkpoint


def epochs_of(folder: Path) -> list[int]:
    """The epochs of which a run's table has a validation."""
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file) if row["val/loss"]]


def test_a_run_that_was_moved_resumes_where_it_lies(finished: Path, start: Start) -> None:
    shutil.copytree(finished, "there")
    run = start("epochs=40", "ckpt_path=auto", "hydra.run.dir=there", "optimizer.lr=1e-30")
    run.end(0)
    assert Path("there/checkpoints/best.ckpt").read_bytes() == (finished / "checkpoints" / "best.ckpt").read_bytes()
    assert f"best: epoch {best_of(finished)['epoch'] + 1} of 40" in run.said


def test_a_run_that_was_copied_and_is_extended_keeps_its_best(finished: Path, start: Start) -> None:
    shutil.copytree(finished, "copy")
    run = start("epochs=42", "ckpt_path=auto", "hydra.run.dir=copy", "optimizer.lr=1e-30")
    run.end(0)
    assert Path("copy/checkpoints/best.ckpt").read_bytes() == (finished / "checkpoints" / "best.ckpt").read_bytes()
    assert "reloaded" not in run.said
    assert epochs_of(Path("copy")) == list(range(42))
    metrics = json.loads(Path("copy/metrics.json").read_text())
    assert (metrics["best/epoch"], metrics["last/epoch"]) == (best_of(finished)["epoch"] + 1, 42)


def test_a_checkpoint_of_another_folder_brings_history_and_best_along_and_that_is_said(
    finished: Path, start: Start
) -> None:
    run = start("epochs=42", f"ckpt_path={finished}/checkpoints/last.ckpt", "optimizer.lr=1e-30")
    run.end(0)
    (folder,) = Path().glob("outputs/*/*")
    said = f"is of another run: this one is written to {folder.absolute()}, and begins with that one's best checkpoint"
    assert said in run.said
    assert epochs_of(folder) == list(range(42))
    assert best_of(folder)["epoch"] == best_of(finished)["epoch"]


def test_the_figures_of_a_run_say_of_which_epoch_they_are(finished: Path, project: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert {name.split("/")[0] for name in metrics} == {"best", "last"}
    for name in ("val/loss", "retrieval/image_to_location/top10", "probe/cells_10/100/elevation_R2"):
        assert {f"best/{name}", f"last/{name}"} <= set(metrics)
    with (finished / "csv" / "metrics.csv").open(newline="") as file:
        losses = [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]
    assert (metrics["best/val/loss"], metrics["last/val/loss"]) == pytest.approx((min(losses), losses[-1]))
    for sweep in (project / "sweeps").glob("*.yaml"):
        compared = yaml.safe_load(sweep.read_text())["metric"]["name"]
        assert compared in {name for name in metrics if name.startswith("best/")}, sweep


def test_a_run_ends_with_its_best_epoch_and_with_what_to_doubt_of_it(finished: Path) -> None:
    said, best = (finished.parent / "said.txt").read_text(), best_of(finished)["epoch"] + 1
    assert best <= 2
    metrics = json.loads((finished / "metrics.json").read_text())
    assert (
        f"best: epoch {best} of 40, val/loss {metrics['best/val/loss']:.3f} (last {metrics['last/val/loss']:.3f})"
        in said
    )
    assert f"the best epoch is {best} of 40" in said
    assert "75 validation places are fewer than 100" in said
    assert "test places: with fewer than 100 its scores are noise" in said
    assert "10 draws of 300 places" in said
    assert f"Retrieval of the best weights (epoch {best}) among 75" in said


def test_an_ordinary_run_is_quiet(finished: Path) -> None:
    said = (finished.parent / "said.txt").read_text()
    assert "W&B runs offline (no API key" in said
    assert not re.search(NOISE, said), said


def test_a_backbone_that_cannot_be_fetched_is_never_a_frozen_random_one(
    tell: Tell, project: Path, patches: Path, tmp_path: Path
) -> None:
    nowhere = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "TORCH_HOME": str(tmp_path)}
    sizes = ["dataset.batch_size=4", "dataset.image_size=64", "logger=csv", "report=null", "epochs=1"]
    train = [
        sys.executable,
        project / "train.py",
        "dataset=s2_folder",
        f"dataset.root={patches}",
        "trainer=cpu",
        *sizes,
    ]
    vit = ["vision=vit16", "dataset.image_size=224"]
    said = tell(*train, *vit, code=1, env=nowhere).stdout
    assert "vision.weights=none, which trains all of this one from random weights" in said
    said = tell(*train, *vit, "vision.weights=none", "vision.frozen=true", code=1, env=nowhere).stdout
    assert "vision.frozen=true with vision.weights=none would freeze random weights" in said
    assert not list(Path().rglob("*.ckpt"))
    tell(*train, "vision=resnet18", "vision.weights=none", "hydra.run.dir=run", env=nowhere)
    checkpoint = torch.load("run/checkpoints/last.ckpt", weights_only=True)
    backbone = [name for name in checkpoint["state_dict"] if ".vision" in name and name.endswith(("weight", "bias"))]
    assert len(backbone) > 60
    assert len(checkpoint["optimizer_states"][0]["state"]) > len(backbone)


def test_a_new_folder_is_said_where_a_run_was_to_be_resumed(finished: Path, start: Start) -> None:
    shutil.copytree(finished, "outputs/blue_marble_one_hot/2026-01-01_00-00-00")
    run = start("epochs=1", "ckpt_path=auto")
    run.end(0)
    assert len(list(Path("outputs/blue_marble_one_hot").iterdir())) == 2
    assert re.search("a new run; .* is resumed by `satclip resume .*/2026-01-01_00-00-00`", run.said)


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """Twenty Sentinel-2 patches of 640 m all over the world, the first two of them side by side."""
    draw, root = np.random.default_rng(0), tmp_path / "s2"
    (root / "images").mkdir(parents=True)
    rows = []
    for number in range(20):
        name, latitude, longitude = f"p{number}.tif", draw.uniform(-60, 70), draw.uniform(-179, 179)
        if number == 1:
            latitude, longitude = rows[0][0] + 0.001, rows[0][1]
        with rasterio.open(
            root / "images" / name, "w", driver="GTiff", width=64, height=64, count=12, dtype="uint16", crs="EPSG:4326",
            transform=rasterio.Affine(1e-4, 0, longitude - 32e-4, 0, -1e-4, latitude + 32e-4),
        ) as file:  # fmt: skip
            file.write(draw.integers(1, 3000, (12, 64, 64)).astype("uint16"))
        rows.append((latitude, longitude, name))
    with (root / "index.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("lat", "lon", "fn"), *rows])
    return root


def test_the_check_of_a_data_set_says_what_it_cannot_draw_and_which_footprints_overlap(
    tell: Tell, project: Path, patches: Path
) -> None:
    check = [sys.executable, project / "scripts" / "check_shards.py", patches]
    said = tell(*check, "--bands", "B02", "B03", "B04", code=1).stdout
    assert "no patch could be drawn; --bands names the bands in the files, now 3 of them" in said
    said = tell(*check).stdout
    assert re.search(r"2 of 20 patches overlap another \(at most 8\d%, p0\.tif and p1\.tif\)", said), said


def test_a_logger_that_is_not_installed_is_named_with_its_extra(start: Start, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    hidden = "import sys\nsys.modules['tensorboard'] = sys.modules['tensorboardX'] = None\n"
    (tmp_path / "without" / "sitecustomize.py").write_text(hidden)
    run = start("logger=many", PYTHONPATH=str(tmp_path / "without"))
    run.end(1)
    assert "pip install 'satclip[tensorboard]'" in run.said
    assert "Traceback" not in run.said
    assert list(Path().iterdir()) == []


def test_degrees_are_listed_as_numbers_and_kept_as_one(tell: Tell, finished: Path, project: Path) -> None:
    said = tell(sys.executable, project / "train.py", "--help").stdout
    assert "legendre_polys: 1 ... 100\n" in said
    assert "legendre_polys=5" in yaml.safe_load((finished / ".hydra" / "overrides.yaml").read_text())
    assert yaml.safe_load((finished / ".hydra" / "config.yaml").read_text())["le_type"]["legendre_polys"] == 5


def test_make_clean_keeps_runs_and_make_clean_runs_asks(tell: Tell, project: Path) -> None:
    shutil.copy(project / "Makefile", ".")
    for folder in ("outputs/run", "multirun/run", ".ruff_cache"):
        Path(folder).mkdir(parents=True)
    tell("make", "clean")
    assert (Path("outputs/run").exists(), Path("multirun/run").exists(), Path(".ruff_cache").exists()) == (
        True,
        True,
        False,
    )
    tell("make", "clean-runs", input="\n")
    assert Path("outputs/run").exists()
    tell("make", "clean-runs", input="y\n")
    assert not Path("outputs").exists()
