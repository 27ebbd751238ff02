"""`satclip resume`: the command it comes to."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from satclip.cli.commands.resume import command_of


def begun(folder: Path, *overrides: str) -> Path:
    """A folder as a run leaves it."""
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": {"cwd": str(folder.parent)}}}))
    return folder


def test_it_goes_on_with_the_options_of_the_run_where_the_folder_lies_now(tmp_path: Path, project: Path) -> None:
    folder = begun(tmp_path / "moved", "experiment=blue_marble_one_hot", "epochs=3", "ckpt_path=elsewhere.ckpt")
    arguments, begun_in = command_of(folder, ["epochs=5"])
    resumed = ["experiment=blue_marble_one_hot", "epochs=5", f"hydra.run.dir={folder}", "ckpt_path=auto"]
    assert arguments == [str(project / "train.py"), *resumed]
    assert begun_in == tmp_path


def test_it_becomes_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, satclip: Any) -> None:
    begun(tmp_path / "run", "seed=1")
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, arguments: became.append(arguments))
    monkeypatch.chdir(tmp_path)
    assert satclip("resume", str(tmp_path / "run"), "+trainer.max_time=00:01:00:00").code == 0
    assert became[0][2:] == [
        "seed=1", "+trainer.max_time=00:01:00:00", f"hydra.run.dir={tmp_path}/run", "ckpt_path=auto",
    ]  # fmt: skip


def test_what_is_no_run_or_names_code_is_refused_in_a_line(tmp_path: Path, satclip: Any) -> None:
    (tmp_path / "empty").mkdir()
    begun(tmp_path / "hostile", "dataset.urls=pipe:touch owned")
    (tmp_path / "odd" / ".hydra").mkdir(parents=True)
    (tmp_path / "odd" / ".hydra" / "overrides.yaml").write_text("{")
    for name, said in (("empty", "holds no run"), ("hostile", "names code to run"), ("odd", "cannot be read")):
        outcome = satclip("resume", str(tmp_path / name))
        assert outcome.code == 1
        assert said in outcome.err


def test_configs_of_one_s_own_are_asked_for_again(tmp_path: Path, project: Path) -> None:
    """They are not taken out of the run's folder, for a config may name code."""
    folder = begun(tmp_path / "run", "experiment=mine")
    sources = [{"path": "hydra.conf", "provider": "hydra"}, {"path": "/own", "provider": "command-line"}]
    runtime = {"cwd": str(tmp_path), "config_sources": sources}
    (folder / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": {"runtime": runtime}}))
    with pytest.raises(ValueError, match=f"satclip resume {folder} --config-dir /own"):
        command_of(folder)
    arguments, _ = command_of(folder, ["--config-dir", "/own"])
    resumed = ["--config-dir", "/own", "experiment=mine", f"hydra.run.dir={folder}", "ckpt_path=auto"]
    assert arguments == [str(project / "train.py"), *resumed]
