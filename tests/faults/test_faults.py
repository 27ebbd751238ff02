"""Faults injected into real processes. What each one costs is printed as a table at the end."""

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("linux")]
EPOCHS = 6
STEPS = 5 * EPOCHS
# Every two steps a checkpoint, and time enough between two steps to be hit there.
COMMON = [f"epochs={EPOCHS}", "callbacks.resumable.every_n_steps=2"]
SLOW = "+callbacks.slow={_target_: injections.Slow, seconds: 0.1}"
SLOWER = "+callbacks.slow={_target_: injections.Slow, seconds: 1}"  # another process can start in the meantime
DDP = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.precision=32-true"]

Start = Callable[..., Any]
Logged = Callable[[Path, str], list[tuple[int, float]]]
Ledger = Callable[[str, str, str], None]


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def whole(whole_folder: Path, train: Callable[..., dict[str, float]]) -> Path:
    """The run that nothing befell, made once."""
    if not (whole_folder / "metrics.json").exists():
        train(whole_folder, *COMMON)
    return whole_folder


def step_of(folder: Path) -> int:
    """Steps behind the newest checkpoint."""
    step: int = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
    return step


def first_loss_after(run: Any, folder: Path, logged: Logged, step: int) -> float:
    """Seconds from the start of a run to its first step that is logged after `step`."""
    run.wait_for(lambda: "an epoch is" in run.said and len(logged(folder, "train/loss")) > step)
    return time.monotonic() - run.begun


def test_killed_in_mid_epoch_it_goes_on_bit_for_bit_past_a_damaged_checkpoint(
    whole: Path, tmp_path: Path, start: Start, logged: Logged, ledger: Ledger, assert_same_run: Callable[..., None]
) -> None:
    folder = tmp_path / "run"
    here = [*COMMON, SLOW, f"hydra.run.dir={folder}"]
    run = start(*COMMON, SLOWER, f"hydra.run.dir={folder}")
    run.wait_for(lambda: len(logged(folder, "train/loss")) >= 4)

    second = start(*here)  # while the first one is running
    seconds = second.end(code=1)
    assert f"process {run.process.pid} on {socket.gethostname()} is running in {folder}" in second.said
    assert "Traceback" not in second.said
    ledger("second run in the folder of a running one", "nothing: it refuses", f"{seconds:.0f} s to the refusal")

    run.wait_for(lambda: len(logged(folder, "train/loss")) >= 13 and step_of(folder) % 5 > 0)
    run.process.kill()
    run.end(code=-signal.SIGKILL)
    step = step_of(folder)
    assert step % 5, "not in mid-epoch"
    lost = len(logged(folder, "train/loss")) - step
    assert lost <= 2

    run = start(*here, "ckpt_path=auto")
    seconds = first_loss_after(run, folder, logged, step)
    run.wait_for(lambda: step_of(folder) >= 22)
    run.process.kill()
    run.end(code=-signal.SIGKILL)
    ledger("kill -9 in mid-epoch", f"{lost} step, done again bit for bit", f"{seconds:.0f} s to the next step")

    last = folder / "checkpoints" / "last.ckpt"
    os.truncate(last, last.stat().st_size // 2)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["global_step"]
    run = start(*here, "ckpt_path=auto")
    seconds = first_loss_after(run, folder, logged, best)
    run.end(code=0)
    assert f"{last} is damaged" in run.said
    assert f"step {best}" in run.said
    assert_same_run(folder, whole)
    ledger(
        "newest checkpoint cut in half",
        "steps since the one before, done again bit for bit",
        f"{seconds:.0f} s to the next step",
    )


def test_every_signal_to_stop_saves_within_the_step_and_says_so_by_its_code(
    whole: Path, tmp_path: Path, start: Start, logged: Logged, ledger: Ledger, assert_same_run: Callable[..., None]
) -> None:
    folder = tmp_path / "run"
    here = [f"epochs={EPOCHS}", SLOW, f"hydra.run.dir={folder}", "ckpt_path=auto"]
    reached = 0
    for name, code in (("SIGTERM", 143), ("SIGUSR1", 138), ("SIGINT", 130)):
        run = start(*here)
        run.wait_for(lambda enough=reached + 3: len(logged(folder, "train/loss")) >= enough)
        told = time.monotonic()
        seen = len(logged(folder, "train/loss"))
        run.process.send_signal(signal.Signals[name])
        run.end(code=code)
        reached = step_of(folder)
        assert seen <= reached <= seen + 2
        assert len(logged(folder, "train/loss")) == reached
        assert "Traceback" not in run.said
        ledger(f"{name} in mid-epoch", "nothing", f"saved, exit {code} after {time.monotonic() - told:.1f} s")
    start(*here).end(code=0)
    assert_same_run(folder, whole)


@pytest.mark.parametrize("rank", [0, 1])
def test_when_a_rank_is_killed_the_job_ends(
    rank: int, tmp_path: Path, start: Start, logged: Logged, ledger: Ledger
) -> None:
    folder = tmp_path / "run"
    run = start("epochs=200", SLOW, *DDP, f"hydra.run.dir={folder}")
    run.wait_for(lambda: len(logged(folder, "train/loss")) >= 7)
    (other,) = run.members("train.py") - {run.process.pid}
    killed = time.monotonic()
    os.kill(run.process.pid if rank == 0 else other, signal.SIGKILL)
    run.end(timeout=60)
    while run.members("train.py"):
        assert time.monotonic() - killed < 60, run.said
        time.sleep(0.1)
    seconds = time.monotonic() - killed
    assert run.process.returncode != 0
    assert step_of(folder) >= 5
    assert "Traceback" not in run.said
    ledger(f"rank {rank} of 2 killed", "steps since the last checkpoint", f"all ranks gone after {seconds:.0f} s")


def test_a_full_disk_leaves_the_checkpoint_before_as_it_was(
    whole: Path, tmp_path: Path, start: Start, logged: Logged, ledger: Ledger, assert_same_run: Callable[..., None]
) -> None:
    folder = tmp_path / "run"
    here = [*COMMON, SLOW, f"hydra.run.dir={folder}"]
    run = start(*here)
    run.wait_for(lambda: len(logged(folder, "train/loss")) >= 9)
    resource.prlimit(run.process.pid, resource.RLIMIT_FSIZE, (20_000, 20_000))  # a checkpoint takes more
    run.end(code=1)
    assert "make room and resume with ckpt_path=auto" in run.said
    assert "Traceback" not in run.said
    assert step_of(folder) >= 8
    assert [path.name for path in (folder / "checkpoints").iterdir() if path.name.startswith(".")] == []
    again = start(*here, "ckpt_path=auto")
    seconds = first_loss_after(again, folder, logged, step_of(folder))
    again.end(code=0)
    assert_same_run(folder, whole)
    ledger("disk full while saving", "nothing: the checkpoint before is whole", f"{seconds:.0f} s to the next step")


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_samples(
    tmp_path: Path, start: Start, logged: Logged, ledger: Ledger
) -> None:
    folder = tmp_path / "run"
    hurt = "+callbacks.hurt={_target_: injections.NanAt, step: 8}"
    run = start(*COMMON, hurt, *DDP, f"hydra.run.dir={folder}")
    seconds = run.end(timeout=120)
    assert run.process.returncode != 0
    assert "the loss is nan at step 8" in run.said
    found = json.loads((folder / "nan_batch.json").read_text())
    assert (found["epoch"], found["batch"], len(found["samples"])) == (1, 2, 60)
    assert len({sample["name"] for sample in found["samples"]}) == 60
    assert step_of(folder) == 6
    ledger("NaN loss", "nothing of that step was saved; its 60 samples are named", f"{seconds:.0f} s from start to end")


@pytest.fixture
def mute_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize("fault", ["server mute", "folder unwritable", "service killed"])
def test_training_goes_on_without_wandb(
    fault: str, tmp_path: Path, start: Start, logged: Logged, ledger: Ledger, mute_server: str
) -> None:
    folder = tmp_path / "run"
    here = ["epochs=2", "logger=wandb", f"hydra.run.dir={folder}"]
    environment = {"WANDB_MODE": "offline"}
    if fault == "server mute":
        environment = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": mute_server, "WANDB_MODE": "online"}
    if fault == "folder unwritable":
        folder.mkdir()
        (folder / "wandb").write_text("in the way")
    if fault == "service killed":
        here += ["epochs=20", SLOW]
    run = start(*here, **environment)
    if fault == "service killed":
        run.wait_for(lambda: len(logged(folder, "train/loss")) >= 5)
        services = run.helpers("wandb-core")
        assert services, "W&B runs no wandb-core that could be killed"
        for process in services:
            os.kill(process, signal.SIGKILL)
    seconds = run.end(code=0, timeout=180)
    assert len(logged(folder, "train/loss")) == (100 if fault == "service killed" else 10)
    said = {"server mute": "W&B runs offline", "folder unwritable": "W&B cannot begin a run", "service killed": ""}[
        fault
    ]
    assert said in run.said
    ledger(f"W&B: {fault}", "nothing: the CSV has all", f"run ends well after {seconds:.0f} s")
