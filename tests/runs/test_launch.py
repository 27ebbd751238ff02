"""From Hydra to a run: at once, or a job of a multirun once, in a process of its own where it has several devices."""

import json
import math
import signal
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from satclip.runs import hydra_setup, launch, run_folder

CONF = Path(__file__).parents[2] / "conf"
TELLS = """
import json, os, pathlib, signal, sys
folder = pathlib.Path({folder!r})
told = {{"argv": sys.argv[1:], "slurm": os.environ.get("SLURM_NTASKS")}}
(folder / "told.json").write_text(json.dumps(told))
"""


@pytest.fixture
def job(tmp_path: Path) -> Iterator[DictConfig]:
    """A job of a multirun in the test's folder, as Hydra hands it over."""
    hydra_setup.register()
    before = HydraConfig.instance().cfg
    given = ["experiment=blue_marble", "seed=3", "trainer.devices=2", f"hydra.sweep.dir={tmp_path}", "hydra.verbose=x"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra.compose("train", overrides=[*given, "hydra.mode=MULTIRUN"], return_hydra_config=True)
    with open_dict(config):
        config.hydra.runtime.output_dir = str(tmp_path / "0")
    (tmp_path / "0").mkdir()
    HydraConfig.instance().set_config(config)
    yield config
    HydraConfig.instance().cfg = before


def script(folder: Path, then: str) -> str:
    """A program that notes what it was called with, then does something."""
    path = folder / "train.py"
    path.write_text(TELLS.format(folder=str(folder)) + then)
    return str(path)


def told(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "told.json").read_text())
    return content


def test_a_job_of_several_devices_runs_in_a_process_of_its_own(
    job: DictConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    figures = f"pathlib.Path({str(tmp_path / '0' / 'metrics.json')!r}).write_text('{{\"best/val/loss\": 1.5}}')"
    assert launch.main(job, script=script(tmp_path, figures)) == {"best/val/loss": 1.5}
    argv = told(tmp_path)["argv"]
    assert argv == [
        "experiment=blue_marble", "seed=3", "trainer.devices=2", "hydra.verbose=x", "ckpt_path=auto",
        f'hydra.run.dir="{tmp_path / "0"}"', "hydra.output_subdir=null",
    ]  # fmt: skip
    assert told(tmp_path)["slurm"] is None
    (tmp_path / "told.json").unlink()
    assert launch.main(job, script=script(tmp_path, "")) == {"best/val/loss": 1.5}  # it has finished: not run again
    assert not (tmp_path / "told.json").exists()


def test_a_job_that_fails_is_an_error_and_one_that_was_stopped_ends_the_sweep(job: DictConfig, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 3; its messages are above"):
        launch.main(job, script=script(tmp_path, "sys.exit(3)"))
    with pytest.raises(SystemExit) as stop:
        launch.main(job, script=script(tmp_path, "sys.exit(143)"))
    assert stop.value.code == 143


@pytest.mark.parametrize("number", launch.PASSED_ON)
def test_a_signal_is_passed_on_to_the_job(number: int, job: DictConfig, tmp_path: Path) -> None:
    before = signal.getsignal(number)
    waits = (
        f"signal.signal({int(number)}, lambda *_: sys.exit(128 + {int(number)}))\n"
        f"os.kill(os.getppid(), {int(number)})\n"
        "import time; time.sleep(60)\n"
    )
    with pytest.raises(SystemExit) as stop:
        launch.main(job, script=script(tmp_path, waits))
    assert stop.value.code == 128 + number
    assert signal.getsignal(number) is before


def test_a_job_of_other_options_is_refused(job: DictConfig, tmp_path: Path) -> None:
    run_folder.begin_job(tmp_path / "0", ["seed=4"])
    with pytest.raises(SystemExit, match="holds another job: it was begun with `seed=4`"):
        launch.main(job, script=script(tmp_path, ""))


@pytest.mark.parametrize(
    ("trainer", "several"),
    [
        ({}, False), ({"devices": 1}, False), ({"devices": "1"}, False), ({"devices": [0]}, False),
        ({"devices": 2}, True), ({"devices": -1}, True), ({"devices": "auto"}, True), ({"devices": [0, 1]}, True),
        ({"devices": 1, "num_nodes": 2}, True), ({"devices": "0,1"}, True),
    ],
)  # fmt: skip
def test_several_devices_are_what_may_start_another_process(trainer: dict[str, object], several: bool) -> None:
    assert launch.several_devices(trainer) is several
    assert launch.several_devices(OmegaConf.create(trainer)) is several


@pytest.mark.usefixtures("job")
def test_a_figure_that_is_missing_is_nan_and_told(caplog: pytest.LogCaptureFixture) -> None:
    assert launch.figure({"best/val/loss": 2.0}, "best/val/loss") == 2.0
    assert not caplog.text
    assert math.isnan(launch.figure({"best/val/loss": 2.0}, "best/x"))
    assert "the run has no figure best/x (optimized_metric); it has best/val/loss" in caplog.text
