"""`python train.py ...` as a person types it: what goes wrong is said in one clear message."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch


def train(project: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run train.py in `folder`."""
    command = [sys.executable, str(project / "train.py"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def complaint(project: Path, folder: Path, *arguments: str) -> str:
    """What a run that must fail says; never a traceback."""
    done = train(project, *arguments, f"hydra.run.dir={folder}/run", folder=folder)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_degree_that_is_none_stops_at_once(project: Path, tmp_path: Path) -> None:
    assert "whole number from 1 to 100, got 101" in complaint(project, tmp_path, "legendre_polys=101")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("seed=abc", "seed takes a whole number"),
        pytest.param("vision=null", "vision takes one of", marks=pytest.mark.slow),
    ],
)
def test_what_cannot_be_is_said_in_one_line_and_leaves_nothing(
    given: str, said: str, project: Path, tmp_path: Path
) -> None:
    done = train(project, "experiment=blue_marble_one_hot", given, folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout + done.stderr == (done.stderr.splitlines() or [""])[0] + "\n"
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at_fault", [pytest.param("params", marks=pytest.mark.slow), "shell"])
def test_a_job_of_a_sweep_that_cannot_be_stops_it_before_the_first(
    at_fault: str, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "my" / "experiment").mkdir(parents=True)
    params = "hydra:\n  sweeper:\n    params:\n      legendre_polys: 5,101\n" if at_fault == "params" else ""
    (tmp_path / "my" / "experiment" / "sweep.yaml").write_text(
        f"# @package _global_\ndefaults:\n  - blue_marble_one_hot\n  - _self_\n{params}"
    )
    values = [] if at_fault == "params" else ["dataset.split=block,null"]
    done = train(project, "-m", "--config-dir", str(tmp_path / "my"), "experiment=sweep", *values, folder=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert ("got 101" if at_fault == "params" else "dataset.split takes text, got null") in line
    assert [path.name for path in tmp_path.iterdir()] == ["my"]


def test_help_lists_the_degrees_in_a_word_and_may_be_cut_off(project: Path, tmp_path: Path) -> None:
    assert "legendre_polys: 1 ... 100\n" in train(project, "--help", folder=tmp_path).stdout
    command = f"{sys.executable} {project / 'train.py'} --help | true"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.stderr == ""


def test_an_unknown_option_lists_the_known_ones(project: Path, tmp_path: Path) -> None:
    said = complaint(project, tmp_path, "vision=typo")
    assert "Could not find 'vision/typo'" in said
    assert all(name in said for name in ("resnet18", "tiny", "vit16"))


def test_a_misspelt_key_is_named(project: Path, tmp_path: Path) -> None:
    said = complaint(project, tmp_path, "embeding_dim=128")
    assert "Key 'embeding_dim' is not in struct" in said
    assert "did you mean embedding_dim?" in said


def test_an_output_folder_that_cannot_be_written_is_named(project: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = train(project, f"hydra.run.dir={tmp_path}/file/run", folder=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"cannot write to the output folder {tmp_path}/file/run" in done.stderr
    assert "hydra.run.dir=FOLDER sets another" in done.stderr


def test_a_folder_that_holds_a_run_is_left_as_it_is(project: Path, tmp_path: Path) -> None:
    before = tmp_path / "run" / "checkpoints" / "last.ckpt"
    before.parent.mkdir(parents=True)
    before.write_text("a run of yesterday")
    said = complaint(project, tmp_path, "experiment=blue_marble_one_hot")
    assert f"there is a run in this folder already ({before})" in said
    assert all(way in said for way in ("ckpt_path=auto", "hydra.run.dir=FOLDER", f"remove {tmp_path}/run"))
    assert [path for path in (tmp_path / "run").rglob("*") if path.is_file()] == [before]


def test_without_shards_and_network_it_names_the_three_ways_on(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    card = ["location_encoder=sh_siren", "vision=vit16", "legendre_polys=40"]
    said = complaint(project, tmp_path, *card)
    for way in ("make data", "dataset=s2_folder dataset.root=", "experiment=blue_marble"):
        assert way in said


def test_an_encoding_without_degrees_says_so(project: Path, tmp_path: Path) -> None:
    said = complaint(project, tmp_path, "le_type=grid", "legendre_polys=20")
    assert "Grid has no Legendre polynomials; drop legendre_polys=20" in said


@pytest.mark.slow
def test_a_multirun_gives_each_job_a_folder_of_its_own(project: Path, tmp_path: Path, imagery: Path) -> None:
    done = train(
        project, "-m", "experiment=blue_marble_one_hot", "trainer=smoke", "legendre_polys=10,20", "vision=tiny",
        f"dataset.root={imagery}", "dataset.places=400", "dataset.patch_size=20", "dataset.kilometres_per_pixel=20.0",
        "dataset.image_size=16", "dataset.batch_size=64", "report=null", f"hydra.sweep.dir={tmp_path}/sweep",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for job, degree in (("0", 10), ("1", 20)):
        checkpoint = torch.load(tmp_path / "sweep" / job / "checkpoints" / "last.ckpt", weights_only=True)
        assert checkpoint["satclip"]["location_encoder"]["encoding"]["legendre_polys"] == degree
        assert (tmp_path / "sweep" / job / "csv" / "metrics.csv").is_file()


def test_real_sentinel_2_patches_train_as_the_readme_says(project: Path, tmp_path: Path, s2_patches: Path) -> None:
    done = train(
        project, "dataset=s2_folder", f"dataset.root={s2_patches}", "vision=resnet18",
        "vision.weights=none", "trainer=smoke", "report=null", f"hydra.run.dir={tmp_path}/run", folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "15 patches to train on, 5 to validate" in done.stdout
    assert not [line for line in done.stderr.splitlines() if "arning" in line or "site-packages" in line], done.stderr
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 1
    assert checkpoint["state_dict"]["model.vision.backbone.conv1.weight"].shape[1] == 13


@pytest.mark.slow
def test_a_sweeper_gets_one_number_of_the_best_epoch(project: Path, tmp_path: Path, imagery: Path) -> None:
    script = tmp_path / "told.py"
    script.write_text(
        f"import runpy, sys, hydra.core.hydra_config as c\n"
        f"from satclip.runs import launch\n"
        f"figure = launch.figure\n"
        f"launch.figure = lambda *given: print('RETURNED', figure(*given)) or figure(*given)\n"
        f"sys.argv[0] = {str(project / 'train.py')!r}\n"
        f"runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    options = [
        "-m", "experiment=blue_marble_one_hot", "epochs=2", f"dataset.root={imagery}", "dataset.places=400",
        "dataset.patch_size=20", "dataset.kilometres_per_pixel=20.0", "dataset.image_size=16", "dataset.batch_size=64",
        "report=null", f"hydra.sweep.dir={tmp_path}/sweep", "optimized_metric=best/val/loss,best/typo",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(script), *options], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    best = json.loads((tmp_path / "sweep" / "0" / "metrics.json").read_text())["best/val/loss"]
    assert f"RETURNED {best}" in done.stdout
    assert "RETURNED nan" in done.stdout
    assert "the run has no figure best/typo (optimized_metric); it has best/epoch" in done.stdout + done.stderr
