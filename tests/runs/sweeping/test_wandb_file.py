"""A W&B sweep file runs without W&B."""

import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from satclip.runs.sweeping import wandb_file

GRID = {"method": "grid", "parameters": {"a": {"values": [1, 2]}, "b": {"values": ["x y", None]}, "seed": {"value": 3}}}


def written(folder: Path, sweep: object) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(yaml.safe_dump(sweep))
    return path


def test_a_grid_has_every_combination_once(tmp_path: Path) -> None:
    sweep = wandb_file.read(written(tmp_path, GRID))
    assert sorted(wandb_file.points(sweep)) == sorted(
        [f"a={a}", f"b={b}", "seed=3"] for a in (1, 2) for b in ('"x y"', "null")
    )
    words = wandb_file.arguments(sweep)
    assert "hydra.sweeper.n_trials=4" in words
    assert 'hydra.sweeper.params={a: choice(1,2), b: choice("x y",null)}' in words
    assert "seed=3" in words


@pytest.mark.parametrize(
    ("spec", "means"),
    [
        ({"min": 1e-4, "max": 0.1, "distribution": "log_uniform_values"}, "tag(log,interval(0.0001,0.1))"),
        ({"min": 0.0, "max": 1.0}, "interval(0.0,1.0)"), ({"min": 1, "max": 4}, "int(interval(1,4))"),
        ({"min": 0, "max": 1, "distribution": "uniform"}, "interval(0,1)"), ({"values": [True, "a"]}, "choice(true,a)"),
    ],
)  # fmt: skip
def test_a_parameter_keeps_its_distribution(spec: dict[str, object], means: str, tmp_path: Path) -> None:
    sweep = wandb_file.read(written(tmp_path, {"method": "bayes", "parameters": {"x": spec}}))
    assert f"hydra.sweeper.params={{x: {means}}}" in wandb_file.arguments(sweep)


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ([], "has no parameters"),
        ({**GRID, "method": "custom"}, "method takes one of grid, random, bayes, got custom"),
        ({"method": "grid", "parameters": {"x": {"min": 0, "max": 1}}}, "x is no list, and method grid needs one"),
        (
            {"method": "random", "parameters": {"x": {"mu": 0, "sigma": 1}}},
            "x has mu, sigma, which runs on W&B's server",
        ),
        ({"method": "random", "parameters": {"x": {"min": 0}}}, "x needs value, values, or min and max"),
    ],
)
def test_what_only_the_server_can_do_is_refused(sweep: object, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said):
        wandb_file.read(written(tmp_path, sweep))


def test_hyperband_by_its_last_bracket_begins_where_that_does() -> None:
    early = {"type": "hyperband", "max_iter": 27, "s": 2}
    given = wandb_file.arguments({**GRID, "early_terminate": early})
    assert given[-2:] == ["hydra.sweeper.pruner.min_resource=3", "hydra.sweeper.pruner.reduction_factor=3"]


@pytest.mark.slow
def test_a_grid_with_hyperband_runs_to_its_end_without_a_server(
    project: Path, tmp_path: Path, small_run: list[str]
) -> None:
    sweep = {
        "method": "grid", "parameters": {"optimizer.lr": {"values": [1e-2, 1e-9]}, "epochs": {"value": 3}},
        "early_terminate": {"type": "hyperband", "min_iter": 1, "eta": 2},
    }  # fmt: skip
    options = [*small_run, "dataset.batch_size=64", "report=null", f"hydra.sweep.dir={tmp_path}/s"]
    script = [sys.executable, str(project / "scripts" / "run_sweep.py"), str(written(tmp_path, sweep))]
    done = subprocess.run(
        [*script, "--", *options], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path}/s/study.db").trials
    assert sorted(each.params["optimizer.lr"] for each in found) == [1e-9, 1e-2]
    assert all(each.state.name in ("COMPLETE", "PRUNED") for each in found)
    assert found[0].intermediate_values
    whole = json.loads((tmp_path / "s" / "0" / "metrics.json").read_text())
    assert found[0].value == whole["best/val/loss"]
