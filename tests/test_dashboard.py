"""The W&B dashboard shows only what a run of train.py logs, and runs are called by what they differ in."""

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from omegaconf import OmegaConf

from satclip.runs import hydra_setup, run, run_folder
from satclip.runs.naming import named, naming
from satclip.training.loggers.wandb import TolerantWandbLogger

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def dashboard() -> ModuleType:
    spec = importlib.util.spec_from_file_location("wandb_dashboard", ROOT / "scripts" / "wandb_dashboard.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # wandb-workspaces is written for an older pydantic
        spec.loader.exec_module(module)
    return module


def shown(node: Any) -> Iterator[str]:
    """Keys in the JSON of panels: of lines, bars and pictures."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name in ("metrics", "mediaKeys") and isinstance(value, list):
                yield from (str(each).removeprefix("summary_metrics.").removeprefix("summary:") for each in value)
            yield from shown(value)
    elif isinstance(node, list):
        for each in node:
            yield from shown(each)


@pytest.mark.slow
def test_no_panel_is_empty_after_a_run(
    dashboard: ModuleType, tmp_path: Path, small_run: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    logged: set[str] = set()
    facts: dict[str, Any] = {}
    log, describe, keep = (getattr(TolerantWandbLogger, name) for name in ("log_metrics", "describe", "keep_model"))

    def recorded(self: TolerantWandbLogger, metrics: Any, step: int | None = None) -> None:
        logged.update(metrics)
        log(self, metrics, step)

    def described(self: TolerantWandbLogger, found: Any) -> None:
        facts.update(found)
        describe(self, found)

    def kept(self: TolerantWandbLogger, *given: Any) -> None:
        facts["model of"] = given[1]
        keep(self, *given)
        assert not self._failed

    for name, by in (("log_metrics", recorded), ("describe", described), ("keep_model", kept)):
        monkeypatch.setattr(TolerantWandbLogger, name, by)
    options = [
        *small_run, "dataset.batch_size=64", "epochs=1", "logger=wandb", "callbacks=probe", "callbacks.probe.labels=40",
        "callbacks.probe.places=400", "report.retrieval_places=20", "report.probe_places=600", "report.degrees=10.0",
        f"output_dir={tmp_path}",
    ]  # fmt: skip
    run.train(hydra_setup.compose(ROOT / "conf", options))
    assert dashboard.keys() - logged == set()
    made = dashboard.as_json("me", "satclip")
    for part in ("workspace", "report"):
        found = set(shown(made[part]))
        assert found - logged == set()
        assert found >= {"val/loss", "globe", "data/bad_samples", "best/probe/cells_10/100/elevation_R2"}
    assert {"git_commit", "command", "data/manifest", "data/training_patches"} <= set(facts)
    assert facts["model of"] == facts["data/manifest"]


def test_a_dry_run_needs_neither_key_nor_network(
    dashboard: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", ["x", "me", "--dry-run", "--output", str(tmp_path / "d.json")])
    dashboard.main()
    assert json.loads((tmp_path / "d.json").read_text()).keys() == {"workspace", "report"}
    assert "d.json" in capsys.readouterr().out


def test_a_run_is_called_by_what_the_jobs_of_its_sweep_differ_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
    config = OmegaConf.create({"name": "blue_marble"})
    shared = ["experiment=blue_marble", "trainer=cpu", "dataset.root=/data/x"]
    alone = naming(config, [*shared, "legendre_polys=20", "seed=1"], tmp_path / "alone")
    assert (alone.name, alone.group, alone.tags) == ("blue_marble-cpu-L20-seed1", None, ("blue_marble", "single"))
    sweep = tmp_path / "2026-11-26"
    job = [*shared, "legendre_polys=20", "vision=vit16", "optimizer.lr=0.0012520653814999472"]
    run_folder.begin_job(sweep / "0", job)
    OmegaConf.save({"hydra": {"overrides": {"task": [*shared, "legendre_polys=10,20"]}}}, sweep / "multirun.yaml")
    found = naming(config, job, sweep / "0")
    assert (found.name, found.group) == ("L20-vit16-lr0.00125", "blue_marble/2026-11-26")
    node = OmegaConf.create({"_target_": "a.wandb_logger", "name": None, "group": None, "tags": ["mine"]})
    assert named(node, found) == {
        "name": found.name, "group": found.group, "tags": ["mine", "blue_marble", "sweep"],
    }  # fmt: skip
    monkeypatch.setenv("WANDB_SWEEP_ID", "s")
    assert named(node, found)["group"] is None
