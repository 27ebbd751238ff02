"""What a process knows of the others from the variables of its launcher."""

import os
import threading

import pytest

from satclip import launch_environment

LAUNCHERS = {
    "alone": {},
    "torchrun": {"TORCHELASTIC_RUN_ID": "1", "RANK": "3", "LOCAL_RANK": "1"},
    "lightning": {"LOCAL_RANK": "2"},
    "srun": {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "2", "SLURM_NTASKS": "4", "SLURM_PROCID": "1"},
    "one task": {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
    "torchrun in a job": {"TORCHELASTIC_RUN_ID": "1", "RANK": "0", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"},
}
VARIABLES = {name for each in LAUNCHERS.values() for name in each}


@pytest.fixture
def launcher(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of one launcher and of no other."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in LAUNCHERS[request.param].items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("launcher", "rank", "torchrun", "srun", "external"),
    [
        ("alone", 0, False, False, False),
        ("torchrun", 3, True, False, True),
        ("lightning", 2, False, False, False),
        ("srun", 1, False, True, True),
        ("one task", 0, False, False, False),
        ("torchrun in a job", 0, True, False, True),
    ],
    indirect=["launcher"],
)
@pytest.mark.usefixtures("launcher")
def test_a_process_knows_its_rank_and_its_launcher(rank: int, torchrun: bool, srun: bool, external: bool) -> None:
    assert launch_environment.rank() == rank
    assert launch_environment.under_torchrun() is torchrun
    assert launch_environment.under_srun() is srun
    assert launch_environment.external() is external


@pytest.mark.parametrize(
    ("launcher", "named"), [("alone", "at 7"), ("srun", "slurm-7-2"), ("one task", "at 7")], indirect=["launcher"]
)
@pytest.mark.usefixtures("launcher")
def test_a_run_is_named_by_its_time_and_under_srun_by_its_step(named: str) -> None:
    assert launch_environment.started("at 7") == named
    assert launch_environment.agreed("folder", "mine") == "mine"


@pytest.mark.parametrize(
    ("launcher", "watched"), [("alone", False), ("lightning", True), ("srun", False)], indirect=["launcher"]
)
@pytest.mark.usefixtures("launcher")
def test_a_rank_that_lightning_started_ends_with_its_parent(
    watched: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    parents, ended = iter([10, 10, 1]), threading.Event()
    monkeypatch.setattr(os, "getppid", lambda: next(parents, 1))
    monkeypatch.setattr("satclip.launch_environment.time.sleep", lambda _: None)
    monkeypatch.setattr(os, "_exit", lambda code: ended.set() if code == 1 else None)
    launch_environment.leave_with_parent()
    assert ended.wait(5 if watched else 0.1) is watched
    assert ("rank 0 (process 10) has ended; ending rank 2" in caplog.text) is watched
