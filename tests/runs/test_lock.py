"""One run per folder."""

import errno
import json
import logging
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


def said_to_a_stranger(folder: Path) -> subprocess.CompletedProcess[str]:
    """A process that is no child of this one tries to take the folder."""
    trying = f"from satclip.runs import lock; from pathlib import Path; lock.claim(Path({str(folder)!r}))"
    grandchild = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {trying!r}]).returncode)"
    return subprocess.run([sys.executable, "-c", grandchild], capture_output=True, text=True, check=False)


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
    stranger = said_to_a_stranger(tmp_path)
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


CONTENDER = """
import random, sys, time
from pathlib import Path
from satclip.runs import lock

judge = lock._works

def slowly(owner, silence):  # between the look and the deed others have time for both
    verdict = judge(owner, silence)
    time.sleep(random.random() / 20)
    return verdict

lock._works = slowly
print("ready", flush=True)
for line in sys.stdin:
    try:
        lock.claim(Path(line.strip()))
        print("held", flush=True)
    except BlockingIOError:
        print("refused", flush=True)
"""


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "none"])
def test_of_many_who_find_a_stale_claim_one_gets_the_folder(tmp_path: Path, links: bool) -> None:
    without = "import os\ndef link(*_):\n    raise PermissionError(1, 'Operation not permitted')\nos.link = link\n"
    program = CONTENDER if links else without + CONTENDER
    contenders = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in range(5)
    ]
    said: list[list[str]] = []
    for contender in contenders:
        assert contender.stdout is not None
        assert contender.stdout.readline() == "ready\n"
    for number in range(20):
        folder = tmp_path / str(number)
        folder.mkdir()
        claim_of(folder, born="long ago")
        for contender in contenders:
            assert contender.stdin is not None
            contender.stdin.write(f"{folder}\n")
            contender.stdin.flush()
        said.append(sorted(contender.stdout.readline().strip() for contender in contenders if contender.stdout))
    for contender in contenders:
        contender.communicate()
    assert said == [["held", *["refused"] * 4]] * 20
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_who_takes_over_and_is_killed_over_it_does_not_bar_the_folder(tmp_path: Path) -> None:
    claim_of(tmp_path, born="long ago", token="u")
    (tmp_path / lock.NAME).rename(tmp_path / f"{lock.NAME}.t.stale")
    claim_of(tmp_path, born="long ago", token="t")
    lock.claim(tmp_path)
    lock.release(tmp_path)
    assert not (tmp_path / lock.NAME).exists()


def test_a_claim_that_another_took_for_stale_is_not_taken_from_him(tmp_path: Path) -> None:
    lock.claim(tmp_path)
    claim_of(tmp_path, host="elsewhere", token="his")
    lock.release(tmp_path)
    assert json.loads((tmp_path / lock.NAME).read_text())["token"] == "his"


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL])
def test_without_hard_links_a_folder_is_locked_all_the_same_with_one_warning(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(lock, "_warned", [])
    with caplog.at_level(logging.WARNING):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            lock.claim(tmp_path / name)
    assert caplog.text.count("no hard links") == 1
    assert "is running in" in said_to_a_stranger(tmp_path / "a").stderr
    for name in ("a", "b"):
        lock.release(tmp_path / name)
        assert not list((tmp_path / name).iterdir())


def test_a_claim_that_comes_after_a_stale_one_without_a_token_is_let_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / lock.NAME
    claim_of(tmp_path, born="long ago")
    stale, read = target.read_text(), lock._read

    def another_is_quicker(path: Path) -> lock.Claim:
        found = read(path)
        if path == target and quick and target.exists() and target.read_text() == stale:
            target.unlink()  # by the one whose right it was; between this process's look and its deed
            quick.clear()
            monkeypatch.setattr(lock, "_read", gone_then_new)
        return found

    def gone_then_new(path: Path) -> lock.Claim:
        monkeypatch.setattr(lock, "_read", read)
        claim_of(tmp_path, born=lock._born(os.getpid()))  # there just after this process has seen nothing
        return lock.GONE

    quick = [True]
    monkeypatch.setattr(lock, "_read", another_is_quicker)
    with pytest.raises(BlockingIOError):
        lock.claim(tmp_path)
    assert target.exists()
