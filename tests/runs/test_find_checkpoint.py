"""Which checkpoint a run resumes from."""

import logging
import os
import sys
from pathlib import Path

import pytest
import torch
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import OmegaConf

from satclip.runs import find_checkpoint
from satclip.runs.find_checkpoint import newest_readable, step_of


def write(path: Path, step: int, age: float, **more: object) -> Path:
    """A checkpoint of that step, written `age` seconds ago."""
    whole = {"state_dict": {"a": torch.arange(1000)}, "optimizer_states": [], "loops": {}, "global_step": step}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({**whole, **more}, path)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_the_newest_is_taken(tmp_path: Path) -> None:
    assert newest_readable(tmp_path) is None
    write(tmp_path / "checkpoints" / "best.ckpt", 5, age=10)
    last = write(tmp_path / "checkpoints" / "last.ckpt", 7, age=0)
    assert newest_readable(tmp_path) == (last, 7)


@pytest.mark.parametrize("damage", ["half", "empty", "bits", "weights alone"])
def test_a_damaged_one_is_stepped_over_with_a_warning(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = write(tmp_path / "best.ckpt", 5, age=10)
    last = write(tmp_path / "last.ckpt", 7, age=0)
    content = bytearray(last.read_bytes())
    if damage == "half":
        last.write_bytes(content[: len(content) // 2])
    elif damage == "empty":
        last.write_bytes(b"")
    elif damage == "bits":  # torch.load reads this one without a word
        place = content.index(bytes(torch.arange(1000).numpy().tobytes()[:64]))
        content[place + 20] ^= 1
        last.write_bytes(content)
    else:
        torch.save({"state_dict": {}}, last)
    with caplog.at_level(logging.WARNING):
        assert newest_readable(tmp_path) == (before, 5)
    assert str(last) in caplog.text
    with pytest.raises(ValueError, match=r"is damaged|holds no"):
        step_of(last)


def test_one_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ckpt_path=auto takes the newest"):
        step_of(tmp_path / "none.ckpt")


def test_a_job_that_a_launcher_began_names_the_command_of_its_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = tmp_path / "my sweep"
    sweep.mkdir()
    node = {
        "hydra": ["hydra/launcher=submitit_slurm", "hydra.sweep.dir=x", "hydra.mode=MULTIRUN"],
        "task": ["seed=0,1"],
    }
    OmegaConf.save({"hydra": {"overrides": node}}, sweep / "multirun.yaml")
    config = OmegaConf.create({"hydra": OmegaConf.structured(HydraConf)})
    config.hydra.mode = RunMode.MULTIRUN
    monkeypatch.setattr(HydraConfig.instance(), "cfg", config)
    monkeypatch.setattr(sys, "argv", ["/lib/submitit/core/_submit.py", "/jobs"])
    expected = f"train.py -m hydra/launcher=submitit_slurm seed=0,1 'hydra.sweep.dir=\"{sweep}\"'"
    assert find_checkpoint.command(sweep / "0") == f"python {expected}"
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "seed=0,1", "hydra.sweep.dir=x"])
    assert find_checkpoint.command(sweep / "0") == f"python train.py -m seed=0,1 'hydra.sweep.dir=\"{sweep}\"'"
