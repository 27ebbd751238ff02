"""A command that is stopped leaves what was there before, and nothing else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# Tests that were started in the background ignore SIGINT, and so would their children.
PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from satclip.cli import main
sys.exit(main(sys.argv[1:]))
"""


def wait_for_part(folder: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 180
    while not any(folder.glob(".*.part")):
        assert process.poll() is None, f"it ended before it could be stopped: {process.communicate()}"
        assert time.monotonic() < deadline, "it never began to write"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_leaves_no_half_file(number: signal.Signals, code: int, model: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("lon,lat\n" + "13.4,52.5\n" * 100_000)
    target = tmp_path / "out.npy"
    target.write_text("what was there before")
    # Tiny batches, so that it is still at work when the signal comes.
    arguments = ["embed", "in.csv", "--model", model, "-o", "out.npy", "--batch-size", "16"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    with process:
        wait_for_part(tmp_path, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert target.read_text() == "what was there before"
    if number != signal.SIGKILL:
        assert "Interrupted: no file was written." in said
        assert "Traceback" not in said
        assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.npy"]


def test_a_failure_halfway_leaves_what_was_there(
    satclip: Any, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from satclip.cli.npy import NpyFile

    def full(self: NpyFile, values: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(NpyFile, "append", full)
    (tmp_path / "in.csv").write_text("lon,lat\n1,2\n")
    (tmp_path / "out.npy").write_text("what was there before")
    outcome = satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.npy")
    assert outcome.code == 1
    assert "No space left on device" in outcome.err
    assert (tmp_path / "out.npy").read_text() == "what was there before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.npy"]


def test_a_report_that_is_stopped_between_two_files_says_which_stayed(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from satclip.cli import main
    from satclip.downstream.benchmark import files

    monkeypatch.setattr(files, "summary", lambda found: os.kill(os.getpid(), signal.SIGTERM))
    folder = tmp_path / "report"
    words = ("--task", "checkerboard:4000", "--labels", "30", "--draws", "1", "--holdout", "random", "--rivals", "none")
    assert main(["evaluate", model, *words, "-o", str(folder)]) == 143
    stayed = f"{folder / 'records.csv'}, {folder / 'report.md'}"
    assert capsys.readouterr().err.endswith(f"Interrupted: only {stayed} had been written, and stayed.\n")
    assert sorted(path.name for path in folder.iterdir()) == ["records.csv", "report.md"]
    files.check_folder(folder)  # the next run may replace what was stopped
