"""One run per folder."""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from satclip.runs import lock


def claim_of(folder: Path, **changes: object) -> None:
    """A claim as another process would have left it."""
    mine = {"pid": os.getpid(), "host": socket.gethostname(), "born": "0", "slurm_job": None}
    (folder / lock.NAME).write_text(json.dumps({**mine, **changes}))


def test_a_folder_is_taken_and_given_back(tmp_path: Path) -> None:
    lock.claim(tmp_path)
    lock.claim(tmp_path)  # mine already
    assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]
    lock.release(tmp_path)
    lock.release(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_living_process_keeps_others_out_and_its_children_in(tmp_path: Path) -> None:
    lock.claim(tmp_path)
    trying = f"from satclip.runs import lock; from pathlib import Path; lock.claim(Path({str(tmp_path)!r}))"
    child = subprocess.run([sys.executable, "-c", trying], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    grandchild = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {trying!r}]).returncode)"
    stranger = subprocess.run([sys.executable, "-c", grandchild], capture_output=True, text=True, check=False)
    assert stranger.returncode == 1
    assert f"process {os.getpid()} on {socket.gethostname()} is running in {tmp_path}" in stranger.stderr
    assert (tmp_path / lock.NAME).exists()
    lock.release(tmp_path)


def test_a_claim_whose_process_is_gone_does_not_count(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    claim_of(tmp_path, pid=dead.pid)
    lock.claim(tmp_path)
    lock.release(tmp_path)


def test_a_claim_of_an_earlier_process_with_the_same_number_does_not_count(tmp_path: Path) -> None:
    claim_of(tmp_path, born="long ago")
    lock.claim(tmp_path)
    lock.release(tmp_path)


def test_half_a_claim_does_not_count(tmp_path: Path) -> None:
    (tmp_path / lock.NAME).write_text('{"pid": 1')
    lock.claim(tmp_path)
    lock.release(tmp_path)


def test_another_machine_is_believed_as_long_as_it_gives_signs_of_life(tmp_path: Path) -> None:
    claim_of(tmp_path, host="elsewhere")
    with pytest.raises(BlockingIOError, match="on elsewhere is running"):
        lock.claim(tmp_path)
    long_ago = time.time() - 2 * lock.DEAD
    os.utime(tmp_path / lock.NAME, (long_ago, long_ago))
    lock.claim(tmp_path)
    lock.release(tmp_path)


def test_a_slurm_job_that_is_started_again_elsewhere_finds_its_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim_of(tmp_path, host="elsewhere", slurm_job="7")
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    with pytest.raises(BlockingIOError, match="elsewhere"):
        lock.claim(tmp_path)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    lock.claim(tmp_path)
    lock.release(tmp_path)
