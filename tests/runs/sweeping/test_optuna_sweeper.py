"""A sweep that optimises records what fails, resumes where it was killed, and prunes by what a run tells it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import optuna
import pytest
from hydra.conf import HydraConf
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import OmegaConf

from satclip.better import higher_is_better
from satclip.runs.sweeping import study as studies
from satclip.runs.sweeping.optuna_sweeper import OptunaSweeper
from satclip.runs.sweeping.trial import Trial, prune, trial_of

Job = Callable[[Path, dict[str, float]], None]
SAMPLER = {"_target_": "optuna.samplers.TPESampler", "seed": 3}
MEDIAN = {"_target_": "optuna.pruners.MedianPruner", "n_startup_trials": 1}


class Stopped(BaseException):
    """As Ctrl-C."""


class AtOnce(Launcher):
    """Runs each job by a function, in no time; a job that raises has failed."""

    def __init__(self, folder: Path, job: Job) -> None:
        self.folder, self.job = folder, job

    def setup(self, **_: object) -> None: ...

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        done = []
        for number, options in enumerate(job_overrides, initial_job_idx):
            values = {key: float(value) for key, value in (each.split("=") for each in options)}
            try:
                self.job(self.folder / str(number), values)
                done.append(JobReturn(_return_value=0.0, status=JobStatus.COMPLETED))
            except RuntimeError as error:
                done.append(JobReturn(_return_value=error, status=JobStatus.FAILED))
        return done


class Loader:
    """Composes nothing, and refuses x above 9."""

    def load_sweep_config(self, master: object, options: Sequence[str]) -> object:
        if any(float(each.split("=")[1]) > 9 for each in options):
            sys.exit("error: x takes 9 at most")
        config = OmegaConf.create({"hydra": OmegaConf.structured(HydraConf)})
        config.hydra.sweep.subdir = "${hydra.job.num}"
        return config


def sweep(folder: Path, job: Job, *arguments: str, metric: object = "best/val/loss", **options: object) -> None:
    """Run a sweep over x from 0 to 8, each of whose jobs is `job`."""
    given = {
        "params": {"x": "interval(0,8)"}, "n_trials": 6, "n_jobs": 1, "direction": "auto", "study_name": None,
        "storage": None, "prune_by": None, "sampler": SAMPLER, "pruner": MEDIAN,
    }  # fmt: skip
    sweeper = OptunaSweeper(**{**given, **options})  # type: ignore[arg-type]
    sweeper.loader = Loader()  # type: ignore[assignment]
    sweeper.composed = OmegaConf.create({"optimized_metric": metric, "hydra": {"sweep": {"dir": str(folder)}}})
    sweeper.launcher = AtOnce(folder, job)
    sweeper.sweep(list(arguments))


def leave(folder: Path, **figures: float) -> None:
    (folder / "metrics.json").write_text(json.dumps({name.replace("_", "/"): value for name, value in figures.items()}))


def good(folder: Path, values: dict[str, float]) -> None:
    leave(folder, best_val_loss=(values["x"] - 2) ** 2, best_gain_mean=values["x"])


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")


def test_it_comes_closer_and_says_how_to_run_the_best(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        sweep(tmp_path / "s", good, "seed=1", n_trials=20)
    found = study(tmp_path / "s")
    assert abs(found.best_params["x"] - 2) < 0.5
    assert min(each.value for each in found.trials[:5]) > found.best_value  # type: ignore[type-var, operator]
    assert f"best/val/loss {found.best_value:.5g}: seed=1 x={found.best_params['x']}" in caplog.text
    assert str(found.best_params["x"]) in (tmp_path / "s" / "optimization_results.yaml").read_text()


def test_a_trial_that_fails_is_recorded_and_the_sweep_continues(tmp_path: Path) -> None:
    def job(folder: Path, values: dict[str, float]) -> None:
        if folder.name == "1":
            raise RuntimeError("out of memory\nmore of it")
        good(folder, values)
        if folder.name == "2":
            leave(folder, best_val_loss=float("nan"))

    sweep(tmp_path / "s", job)
    states = [each.state.name for each in study(tmp_path / "s").trials]
    assert states == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert study(tmp_path / "s").trials[1].user_attrs["error"] == "out of memory"
    assert "no finite figure best/val/loss" in study(tmp_path / "s").trials[2].user_attrs["error"]


def test_a_combination_that_cannot_be_is_a_failed_trial_and_five_at_the_start_end_the_sweep(tmp_path: Path) -> None:
    sweep(tmp_path / "some", good, params={"x": "choice(1,2,10)"}, n_trials=12)
    found = study(tmp_path / "some").trials
    assert {each.state.name for each in found} == {"COMPLETE", "FAIL"}
    assert {each.state.name for each in found if each.params["x"] == 10} == {"FAIL"}
    with pytest.raises(SystemExit, match="first 5 trials have all failed, the last with: error: x takes 9 at most"):
        sweep(tmp_path / "all", good, params={"x": "choice(10,11)"}, n_trials=12)
    assert len(study(tmp_path / "all").trials) == 5


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_sweep_that_was_stopped_runs_what_is_missing_and_draws_what_it_would_have_drawn(
    n_jobs: int, tmp_path: Path
) -> None:
    ran: list[str] = []

    def job(folder: Path, values: dict[str, float]) -> None:
        ran.append(folder.name)
        if len(ran) == 4:
            raise Stopped
        good(folder, values)

    with pytest.raises(Stopped):
        sweep(tmp_path / "s", job, n_trials=8, n_jobs=n_jobs)
    sweep(tmp_path / "s", job, n_trials=8, n_jobs=n_jobs)
    assert ran[3:5] == (["3", "3"] if n_jobs == 1 else ["3", "2"])  # launched together: both are looked at again
    sweep(tmp_path / "whole", good, n_trials=8, n_jobs=n_jobs)
    both = study(tmp_path / "s").trials, study(tmp_path / "whole").trials
    assert [each.params for each in both[0]] == [each.params for each in both[1]]
    assert [each.values for each in both[0]] == [each.values for each in both[1]]


def test_several_objectives_have_several_best_and_none_is_pruned(tmp_path: Path) -> None:
    two = ["best/val/loss", "best/gain/mean"]
    sweep(tmp_path / "s", good, metric=two, n_trials=10)
    assert [each.name for each in study(tmp_path / "s").directions] == ["MINIMIZE", "MAXIMIZE"]
    assert len(study(tmp_path / "s").best_trials) > 1
    with pytest.raises(SystemExit, match="with several objectives no trial can be pruned"):
        sweep(tmp_path / "t", good, metric=two, prune_by="val/loss")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"direction": "maximize"}, "best/val/loss gets better the other way"),
        ({"direction": "up"}, "takes minimize or maximize for best/val/loss, got up"),
        ({"metric": "best/x"}, "takes minimize or maximize for best/x, got auto"),
        ({"direction": ["minimize", "minimize"]}, "has 2 entries for 1"),
        ({"prune_by": "probe/x"}, "prune_by=probe/x does not tell which way is better"),
        ({"metric": None}, "optimized_metric is null"),
    ],
)
def test_a_sweep_that_would_look_for_the_worst_is_refused(
    options: dict[str, object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=said):
        sweep(tmp_path / "s", good, **options)  # type: ignore[arg-type]


def test_it_says_where_the_least_loss_says_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def job(folder: Path, _: dict[str, float]) -> None:
        leave(folder, best_val_loss=1.0, best_gain_mean=1.0)

    for metric, name, warned in (
        ("best/val/loss", "loss.softness", True),
        (["best/gain/mean", "best/val/loss"], "temperature", True),
        ("best/gain/mean", "loss.softness", False),
        ("best/val/loss", "optimizer.lr", False),
    ):
        caplog.clear()
        sweep(tmp_path / f"{name}-{warned}", job, metric=metric, params={name: "interval(0,1)"}, n_trials=1)
        assert (f"losses are not comparable where {name} differs" in caplog.text) is warned


def test_a_score_that_is_better_high_prunes_the_low_ones_of_a_loss_that_is_better_low(tmp_path: Path) -> None:
    stopped = {}

    def job(folder: Path, values: dict[str, float]) -> None:
        trial = trial_of(folder)
        assert trial is not None
        score = -abs(values["x"] - 2)
        stopped[folder.name] = studies.Reports(trial).unpromising(score, 1), score
        if stopped[folder.name][0]:
            return prune(folder, 1, "probe/elevation/r2", score)
        return good(folder, values)

    sweep(tmp_path / "s", job, n_trials=10, prune_by="probe/elevation/r2")
    scores = {verdict: [score for each, score in stopped.values() if each is verdict] for verdict in (True, False)}
    assert scores[True]
    assert max(scores[True]) < max(scores[False])
    states = {each.number: each.state.name for each in study(tmp_path / "s").trials}
    assert {states[int(name)] for name, (pruned, _) in stopped.items() if pruned} == {"PRUNED"}


def test_a_study_that_cannot_be_told_costs_a_warning_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = Trial(f"sqlite:///{tmp_path}/no/such/folder/study.db", "s", 0, "val/loss", 1, MEDIAN)
    reports = studies.Reports(gone)
    assert not reports.unpromising(1.0, 1)
    assert not reports.unpromising(1.0, 2)
    assert caplog.text.count("continues unpruned") == 1


@pytest.mark.parametrize(
    ("name", "higher"),
    [
        ("best/val/loss", False), ("val/loss/clip", False), ("val/image_to_location/top10", True),
        ("val/x/median_km", False), ("probe/elevation/r2", True), ("best/gain/mean", True),
        ("best/gain/elevation", True), ("train/temperature", None),
    ],
)  # fmt: skip
def test_a_figure_s_name_tells_which_way_is_better(name: str, higher: bool | None) -> None:
    assert higher_is_better(name) is higher


@pytest.mark.slow
def test_a_real_sweep_prunes_is_killed_and_resumes(project: Path, tmp_path: Path, small_run: list[str]) -> None:
    options = [
        *small_run, "dataset.batch_size=64", "report=null", "epochs=3", "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=2",
        "hydra.sweeper.params={optimizer.lr: choice(1e-2,1e-7)}", "hydra.sweeper.prune_by=val/loss",
        "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.sampler.seed=2", f"hydra.sweep.dir={tmp_path}/s",
    ]  # fmt: skip
    command = [sys.executable, str(project / "train.py"), "-m", *options]
    with (tmp_path / "log").open("w") as file:
        first = subprocess.Popen(command, cwd=tmp_path, stdout=file, stderr=file, start_new_session=True)
    wanted = tmp_path / "s" / "1" / "checkpoints" / "last.ckpt"
    until = time.monotonic() + 120
    while not wanted.exists() and first.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert [each.state.name for each in study(tmp_path / "s").trials] == ["COMPLETE", "RUNNING"], (
        tmp_path / "log"
    ).read_text()
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = study(tmp_path / "s").trials
    assert len(found) == 2
    assert all(each.state.is_finished() for each in found)
    assert re.search(r"resuming from .*/s/1/checkpoints/", done.stdout)
    assert {each.params["optimizer.lr"] for each in found if each.state.name == "PRUNED"} <= {1e-7}
    assert all((tmp_path / "s" / str(each.number) / "trial.json").exists() for each in found)
