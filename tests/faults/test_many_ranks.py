"""The same run on one process and on two, however the two are started."""

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]
SAME = ["epochs=2", "pe_type.dropout=0.0"]  # dropout draws anew on every rank
REPORT = [
    (
        "report={_target_: satclip.training.final_report.FinalReport, retrieval_places: 20, probe_places: 300,"
        " degrees: 5.0}"
    )
]
SLURM = {
    "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_NODEID": "0",
    "SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "satclip", "SLURM_NODELIST": "localhost",
}  # fmt: skip


@pytest.fixture
def alone(tmp_path: Path, train: Callable[..., dict[str, float]]) -> Path:
    """The run on one process."""
    folder = tmp_path / "alone"
    train(folder, *SAME)
    return folder


@pytest.fixture
def assert_equal_to(logged: Callable[..., Any]) -> Callable[[Path, Path], None]:
    """Losses, retrieval and weights of two runs agree to 1e-5; one folder, one writer."""

    def check(folder: Path, alone: Path) -> None:
        for column in ("train/loss", "val/loss", "val/image_to_location/top10", "val/location_to_image/top1"):
            torch.testing.assert_close(logged(folder, column), logged(alone, column), rtol=1e-5, atol=1e-5)
        one, other = (
            torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (folder, alone)
        )
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        assert [path.name for path in folder.parent.iterdir() if path.is_dir() and path.name != "alone"] == [
            folder.name
        ]
        assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
        assert (folder / "metrics.json").is_file()
        assert not (folder / ".running").exists()

    return check


def test_two_ranks_started_by_lightning_equal_one_process(
    alone: Path, tmp_path: Path, start: Callable[..., Any], assert_equal_to: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "ddp"
    run = start(*SAME, *DDP, *REPORT, "logger=wandb", f"hydra.run.dir={folder}", WANDB_MODE="offline")
    run.end(code=0)
    assert_equal_to(folder, alone)
    assert run.said.count("Labels predicted where none is near") == 1
    assert run.said.count("an epoch is 5 batches of 60 samples over all processes") == 1
    assert len(list((folder / "wandb").glob("offline-run-*"))) == 1


def test_two_ranks_started_by_torchrun_equal_one_process(
    alone: Path, tmp_path: Path, start: Callable[..., Any], assert_equal_to: Callable[[Path, Path], None]
) -> None:
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    run = start(*SAME, *DDP, f"hydra.run.dir={tmp_path}/hand/${{started:%H-%M-%S.%f}}", command=torchrun)
    run.end(code=0)
    (folder,) = (tmp_path / "hand").iterdir()  # both ranks asked the clock, microseconds and all
    assert_equal_to(folder, alone)


def test_two_tasks_started_by_srun_equal_one_process(
    alone: Path, tmp_path: Path, start: Callable[..., Any], assert_equal_to: Callable[[Path, Path], None]
) -> None:
    slurm = ["trainer=slurm", "trainer.accelerator=cpu", "trainer.precision=32-true"]
    folder = tmp_path / "outputs" / "slurm-4711"
    where = f"hydra.run.dir={tmp_path}/outputs/slurm-${{oc.env:SLURM_JOB_ID}}"
    tasks = [start(*SAME, *slurm, where, SLURM_PROCID=rank, SLURM_LOCALID=rank, **SLURM) for rank in ("0", "1")]
    for task in tasks:
        task.end(code=0)
    assert_equal_to(folder, alone)
    assert tasks[1].said.strip() == ""


def test_a_multirun_on_two_devices_finishes_all_jobs_and_a_second_call_does_only_what_is_missing(
    tmp_path: Path, start: Callable[..., Any], logged: Callable[..., Any], ledger: Callable[[str, str, str], None]
) -> None:
    sweep = tmp_path / "sweep"
    slow = "+callbacks.slow={_target_: injections.Slow, seconds: 0.1}"
    options = ["-m", *DDP, "epochs=4", slow, "pe_type.hidden_dim=8,12", f"hydra.sweep.dir={sweep}"]
    first = start(*options)
    first.wait_for(lambda: len(logged(sweep / "1", "train/loss")) >= 7)
    first.process.terminate()
    assert first.end(timeout=60) > 0
    assert first.process.returncode == 128 + signal.SIGTERM, first.said
    assert (sweep / "0" / "metrics.json").is_file()
    assert not (sweep / "1" / "metrics.json").exists()
    stopped = torch.load(sweep / "1" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    assert 7 <= stopped < 20
    before = (sweep / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns

    second = start(*options)
    seconds = second.end(code=0)
    assert f"{sweep}/0 has finished before and is skipped" in second.said
    assert (sweep / "0" / "checkpoints" / "last.ckpt").stat().st_mtime_ns == before
    assert f"step {stopped}" in second.said
    assert [step for step, _ in logged(sweep / "1", "train/loss")] == list(range(20))
    for job, width in (("0", 8), ("1", 12)):
        checkpoint = torch.load(sweep / job / "checkpoints" / "last.ckpt", weights_only=True)
        assert checkpoint["global_step"] == 20
        assert checkpoint["satclip"]["config"]["pe_type"]["hidden_dim"] == width
    ledger("sweep on two devices interrupted in its second job", "nothing", f"{seconds:.0f} s to the end of the sweep")

    other = start(*options, "epochs=5")
    other.end(code=1)
    assert "holds another job" in other.said
    assert "Traceback" not in other.said


def test_a_job_that_began_with_a_checkpoint_of_elsewhere_goes_on_from_its_own(
    alone: Path, tmp_path: Path, start: Callable[..., Any]
) -> None:
    sweep = tmp_path / "sweep"
    options = ["-m", "epochs=3", f"ckpt_path={alone}/checkpoints/last.ckpt", "seed=0,1", f"hydra.sweep.dir={sweep}"]
    start(*options).end(code=0)
    (sweep / "1" / "metrics.json").unlink()  # as if it had been cut short after its last checkpoint
    second = start(*options)
    second.end(code=0)
    assert f"{sweep}/0 has finished before and is skipped" in second.said
    assert f"resuming from {sweep}/1/checkpoints/last.ckpt, step 15" in second.said
    assert (sweep / "1" / "metrics.json").is_file()


@pytest.mark.parametrize("launcher", ["ray", "submitit_local"])
def test_a_launcher_runs_jobs_of_several_devices(launcher: str, tmp_path: Path, start: Callable[..., Any]) -> None:
    package = launcher.removesuffix("_local")
    pytest.importorskip(f"hydra_plugins.hydra_{package}_launcher", reason=f"NEEDS hydra-{package}-launcher")
    sweep = tmp_path / "sweep"
    jobs = ["epochs=1", "pe_type.hidden_dim=8,12", f"hydra.sweep.dir={sweep}"]
    run = start("-m", *DDP, *jobs, f"hydra/launcher={launcher}")
    run.end(code=0, timeout=240)
    for job in ("0", "1"):
        assert (sweep / job / "metrics.json").is_file(), run.said
