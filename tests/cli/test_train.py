"""`satclip train`: the training of train.py without a checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from satclip.cli.commands import resume
from satclip.runs.train import config_folder


def test_it_becomes_the_training_with_the_options_as_they_were_given(
    monkeypatch: pytest.MonkeyPatch, satclip: Any
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: became.append(arguments))
    assert satclip("train", "-m", "experiment=blue_marble", "--cfg", "job", "seed=1,2").code == 0
    assert satclip("train", "--", "--help").code == 0
    program = [sys.executable, "-m", "satclip.runs.train"]
    assert became == [[*program, "-m", "experiment=blue_marble", "--cfg", "job", "seed=1,2"], [*program, "--help"]]


def test_without_its_extra_it_names_it(monkeypatch: pytest.MonkeyPatch, satclip: Any) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    outcome = satclip("train", "experiment=blue_marble")
    assert outcome.code == 1
    assert "pip install 'satclip[train]'" in outcome.err


def test_the_configs_are_those_of_the_checkout(project: Path) -> None:
    assert config_folder() == project / "conf"


def test_a_run_of_an_installed_package_resumes_without_a_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not by a train.py that happens to lie in the folder from which it is called."""
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text("[seed=1]")
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text(f"hydra: {{runtime: {{cwd: {tmp_path}}}}}")
    (tmp_path / "train.py").touch()
    monkeypatch.setattr(resume, "CHECKOUT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    arguments, _ = resume.command_of(tmp_path / "run")
    assert arguments[:3] == ["-m", "satclip.runs.train", "seed=1"]


@pytest.mark.slow
def test_the_wheel_carries_the_configs_the_outlines_and_the_encoder(tmp_path: Path, project: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=project, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in listed:
        if name.startswith(("src/", "conf/", "setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE")):
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "tree" / name).write_bytes((project / name).read_bytes())
    build = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path]
    subprocess.run(build, cwd=tmp_path / "tree", check=True)
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    carried = {str(path.relative_to(site / "satclip" / "conf")) for path in (site / "satclip/conf").rglob("*.yaml")}
    assert carried == {str(path.relative_to(project / "conf")) for path in (project / "conf").rglob("*.yaml")}
    code = (
        "import satclip, satclip.runs.train as t; from satclip.geography.outlines import outlines; "
        "print(satclip.__file__, t.config_folder(), len(outlines().coasts) > 1000, "
        "satclip.load_location_encoder('blue-marble').embed((2.35, 48.86)).shape)"
    )
    elsewhere = {**os.environ, "PYTHONPATH": str(site)}
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == [f"{site}/satclip/__init__.py", f"{site}/satclip/conf", "True", "(512,)"]
    composed = subprocess.run(
        [sys.executable, "-m", "satclip.runs.train", "experiment=region", "dataset.root=x", "--cfg", "job"],
        cwd=tmp_path, env=elsewhere, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "legendre_polys" in composed
