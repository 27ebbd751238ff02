"""What a run notes of itself, and that it is enough to make it again."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from satclip.cli.commands.resume import command_of
from satclip.runs import hydra_setup, provenance, run, run_folder

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with a package in it, and a change that is not committed."""
    root = tmp_path_factory.mktemp("checkout")
    (root / "pack").mkdir()
    (root / "pack" / "__init__.py").write_text("a = 1\n")
    git = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x@x"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    (root / "pack" / "__init__.py").write_text("a = 2\n")
    (root / "new.py").write_text("")
    return root


def test_a_run_notes_its_commit_and_what_differs_from_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "PACKAGE", repository / "pack")
    provenance.begin(tmp_path, "python train.py seed=1", {"seed": 1}, 0)
    provenance.begin(tmp_path, "python train.py seed=1 epochs=9", {"seed": 1}, 70)  # resumed
    first, second = provenance.starts(tmp_path)
    assert (first["command"], second["from_step"]) == ("python train.py seed=1", 70)
    assert len(first["git"]["commit"]) == 40
    assert set(first["git"]["changed"]) == {" M pack/__init__.py", "?? new.py"}
    assert "+a = 2" in (tmp_path / first["git"]["diff"]).read_text()
    assert second["git"]["diff"] == "uncommitted_2.diff"
    assert first["versions"]["torch"]
    assert first["hardware"]["cores"]
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {"seed": 1}
    assert provenance.differences(first, tmp_path) == []
    (tmp_path / first["git"]["diff"]).write_text("another")
    assert len(provenance.differences(first, tmp_path)) == 1
    (repository / "pack" / "other").mkdir()
    monkeypatch.setattr(provenance, "PACKAGE", repository / "pack" / "other")  # installed inside somebody's checkout
    assert provenance.code() == ({}, "")
    told = provenance.differences({"versions": {"torch": "0.1"}, "git": {"commit": "abc"}}, tmp_path)
    assert told[0].startswith("torch was 0.1, is ")
    assert told[1] == "the code was at commit abc, is at none"


def test_a_run_notes_its_data_and_a_failed_one_why(imagery: Path, tmp_path: Path) -> None:
    small = [
        "experiment=blue_marble_one_hot", f"dataset.root={imagery}", "dataset.places=400", "dataset.patch_size=20",
        "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16", "dataset.batch_size=64", "vision.width=4",
        "pe_type.hidden_dim=16", "embedding_dim=8", "legendre_polys=5", "~callbacks.progress", "report=null",
        "epochs=1",
    ]  # fmt: skip
    noted = []
    for name, more in (("a", []), ("b", ["seed=1"]), ("c", ["dataset.val_fraction=0.2"])):
        run.train(hydra_setup.compose(CONF, [*small, f"output_dir={tmp_path / name}", *more]))
        noted.append(provenance.starts(tmp_path / name)[0]["data"])
        assert (tmp_path / name / "report.html").exists()
        assert (tmp_path / name / "metrics_units.json").exists()
    assert noted[0] == noted[1]  # the split follows from the data alone
    assert noted[0]["manifest_sha256"] != noted[2]["manifest_sha256"]
    assert noted[0]["train"] + noted[0]["validation"] <= noted[0]["patches"]
    run_folder.fail(tmp_path / "a", "no")
    run_folder.begin(tmp_path / "a")
    assert not (tmp_path / "a" / "failed.json").exists()


def test_a_rerun_has_the_options_of_the_run_and_a_new_folder(tmp_path: Path, project: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    given = ["seed=1", "epochs=3", "ckpt_path=x.ckpt"]
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(given))
    (tmp_path / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"cwd": str(tmp_path)}}}))
    arguments, _ = command_of(tmp_path, ["epochs=5"], again=True)
    assert arguments == [str(project / "train.py"), "seed=1", "epochs=5"]


def losses(folder: Path) -> list[str]:
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [row["train/loss"] for row in csv.DictReader(file) if row["train/loss"]]


@pytest.mark.slow
def test_the_documented_line_makes_a_run_again(small_run: list[str], project: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    options = [*small_run, "dataset.batch_size=64", "dataset.flips=true", "trainer.max_steps=6", "report=null"]
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    calls: tuple[list[str], ...] = (
        [str(project / "train.py"), *options, f"hydra.run.dir={first}"],
        ["-m", "satclip.cli", "rerun", str(first), f"hydra.run.dir={second}"],
    )
    for call in calls:
        done = subprocess.run([sys.executable, *call], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(losses(first)) == 6
    assert losses(second) == losses(first)
    assert "note:" not in done.stderr  # the same code and packages
    start: dict[str, Any] = json.loads((second / "provenance.json").read_text())["starts"][0]
    assert start["command"].startswith("python train.py experiment=blue_marble_one_hot")
    assert "hydra.run.dir" not in start["command"]
    assert "epoch 1" in (first / "train.log").read_text()
