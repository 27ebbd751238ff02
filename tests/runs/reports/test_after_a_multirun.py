"""A multirun ends with the page of all its runs, whatever became of them, and W&B has them as one group."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from wandb.proto import wandb_internal_pb2

from satclip.runs.reports.wandb_offline import entries

pytestmark = pytest.mark.slow
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]
OPTUNA = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=1"]


def multirun(project: Path, folder: Path, options: list[str], code: int = 0) -> tuple[str, dict[str, Any]]:
    """Run it; how many runs ended in which way, as it said, and what the page it named is made of."""
    given = [*options, "dataset.batch_size=64", "report=null", "epochs=1", f"hydra.sweep.dir={folder}"]
    command = [sys.executable, str(project / "train.py"), "-m", *given]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    said = re.search(r"side by side \((.+)\): (.+/report.html)", done.stdout)
    assert said is not None, done.stdout
    assert f"in short: {folder}/summary.md" in done.stdout
    held = re.search(r"id='data'>(.*?)</script>", Path(said[2]).read_text(), re.DOTALL)
    assert held is not None
    assert Path(said[2]).parent == folder
    return said[1], json.loads(held[1])


def of_wandb(run: Path) -> tuple[Any, dict[str, Any]]:
    """What the file that `wandb sync` would send says of a run itself, and of its figures' summaries by name."""
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    found = [wandb_internal_pb2.Record.FromString(each) for each in entries(file)]
    return next(each.run for each in found if each.HasField("run")), {
        each.metric.name: each.metric.summary for each in found if each.HasField("metric")
    }


def test_a_grid_ends_with_the_page_of_all_its_runs_which_are_one_group_in_wandb(
    project: Path, tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    counts, page = multirun(project, tmp_path / "s", [*small_run, "logger=wandb", "seed=0,1"])
    assert counts == "2 finished"
    assert [(each["name"], each["state"], each["page"]) for each in page["runs"]] == [
        ("0", "finished", "0/report.html"),
        ("1", "finished", "1/report.html"),
    ]
    for seed in (0, 1):
        run, summaries = of_wandb(tmp_path / "s" / str(seed))
        assert (run.display_name, run.run_group, run.job_type) == (f"seed{seed}", "blue_marble_one_hot/s", "train")
        assert set(run.tags) == {"blue_marble_one_hot", "sweep"}
        loss, top10, far = (summaries[f"val/{name}"] for name in ("loss", *(f"image_to_location/{x}" for x in END)))
        assert (loss.min, top10.max, far.min) == (True, True, True)
        assert not any((loss.max, top10.min, far.max))


END = ("top10", "median_km")


def test_a_sweep_whose_first_job_fails_goes_on_and_its_page_says_why(
    project: Path, tmp_path: Path, small_run: list[str]
) -> None:
    counts, page = multirun(project, tmp_path / "s", [*small_run, "optimizer.lr=2e9,1e-3"], code=1)
    assert counts == "1 finished, 1 failed"
    assert [each["state"] for each in page["runs"]] == ["failed", "finished"]
    assert "the loss is nan at step" in page["runs"][0]["note"]


def test_a_trial_of_two_devices_is_one_run_and_its_figure_is_that_of_the_whole_batch(
    project: Path, tmp_path: Path, small_run: list[str]
) -> None:
    lr = "hydra.sweeper.params={optimizer.lr: tag(log, interval(1e-4,1e-2))}"
    counts, page = multirun(project, tmp_path / "s", [*small_run, *DDP, *OPTUNA, lr])
    assert (counts, len(page["runs"])) == ("1 finished", 1)
    found = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/study.db")
    whole = json.loads((tmp_path / "s" / "0" / "metrics.json").read_text())
    assert [(each.state.name, each.value) for each in found.trials] == [("COMPLETE", whole["best/val/loss"])]
    assert whole["best/step"] == 5  # batches of 64 of 335 places over both devices together
