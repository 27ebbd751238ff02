"""Small runs, here or in processes of their own, and the table of what each fault cost."""

import csv
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.runs import hydra_setup, run

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
TABLE = pytest.StashKey[list[tuple[str, str, str]]]()


@pytest.fixture(autouse=True)
def injections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Configs may name the callbacks of injections.py."""
    monkeypatch.syspath_prepend(HERE)


@pytest.fixture
def small(small_run: list[str]) -> list[str]:
    """The small run with dropout and augmentation: six steps an epoch, five batches of validation."""
    return [
        *small_run, "dataset.batch_size=60", "dataset.flips=true", "dataset.jitter_degrees=0.1",
        "dataset.val_fraction=0.2", "dataset.split_buffer_km=0", "pe_type.dropout=0.1",
        "+trainer.enable_progress_bar=false", "report=null",
    ]  # fmt: skip


@pytest.fixture
def train(small: list[str]) -> Iterator[Callable[..., dict[str, float]]]:
    """A run in this process, on one thread like those in processes of their own: sums are rounded by the thread."""

    def train_here(folder: Path, *overrides: str) -> dict[str, float]:
        return run.train(hydra_setup.compose(PROJECT / "conf", [*small, f"output_dir={folder}", *overrides]))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train_here
    torch.set_num_threads(threads)


@dataclass
class Living:
    """A process as /proc has it."""

    number: int
    parent: int
    session: int
    command: str


def living() -> list[Living]:
    """Every process that still runs, by /proc: a bare machine has no pgrep."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent, _, session = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:4]
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):  # it has just gone
            continue
        if state not in "ZX":
            found.append(Living(int(folder.name), int(parent), int(session), command))
    return found


def resident(number: int) -> int:
    """Memory of a process in kB; 0 once it is gone."""
    try:
        status = Path(f"/proc/{number}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(status.split("VmRSS:")[1].split()[0]) if "VmRSS:" in status else 0


@pytest.fixture
def linux() -> None:
    """Skips where the operating system cannot say what the test asks of it."""
    if not hasattr(resource, "prlimit") or not Path("/proc/self/stat").exists():
        pytest.skip("NEEDS Linux: processes are found in /proc and limited by prlimit")


@dataclass
class Process:
    """`python train.py ...`, or any other command, with what it says in a file."""

    command: list[str]
    said_in: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] = field(init=False)
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = time.monotonic()
        with self.said_in.open("wb") as file:
            self.process = subprocess.Popen(
                self.command, stdout=file, stderr=subprocess.STDOUT, env=self.environment, start_new_session=True
            )

    @property
    def said(self) -> str:
        """Everything so far."""
        return self.said_in.read_text(errors="replace")

    def members(self, name: str) -> set[int]:
        """Living processes of its session whose command line has `name` in it."""
        return {each.number for each in living() if each.session == self.process.pid and name in each.command}

    def helpers(self, program: str) -> set[int]:
        """Living processes of that program, in whatever session, that were told this one's number."""
        told = re.compile(rf"{re.escape(program)}.*\b{self.process.pid}\b")
        return {each.number for each in living() if told.search(each.command)}

    def memory(self) -> int:
        """Resident memory of it and of all below it, in kB."""
        tree, everyone = {self.process.pid}, living()
        while below := {each.number for each in everyone if each.parent in tree} - tree:
            tree |= below
        return sum(map(resident, tree))

    def end(self, code: int | None = None, timeout: float = 120) -> float:
        """Wait for its end, which must have that code; how long it took from its beginning."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after {timeout} seconds:\n{self.said}")
        assert code is None or self.process.returncode == code, self.said
        return time.monotonic() - self.begun

    def wait_for(self, condition: Callable[[], bool], timeout: float = 120) -> None:
        """Wait until something has come true while it runs."""
        until = time.monotonic() + timeout
        while not condition():
            assert self.process.poll() is None, self.said
            assert time.monotonic() < until, self.said
            time.sleep(0.02)


@pytest.fixture
def start(small: list[str], tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start `python train.py` of the small run in a process of its own; `command` puts another one before train.py."""
    started: list[Process] = []

    def begin(*overrides: str, command: tuple[str, ...] = (sys.executable,), **environment: str) -> Process:
        path = os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **environment}
        surroundings.pop("WANDB_SERVICE", None)  # of a run in this very process
        line = [*command, str(PROJECT / "train.py"), *sorted([*small, *overrides], key="-m".__ne__)]
        started.append(Process(line, tmp_path / f"said_{len(started)}.txt", surroundings))
        return started[-1]

    yield begin
    for process in started:
        if process.process.poll() is None:
            os.killpg(process.process.pid, 9)


@pytest.fixture
def tell() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run any command to its end in the current folder; errors and output are one text, as on a terminal."""

    def run_it(*command: str | Path, code: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(HERE), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]).rstrip(os.pathsep)
        surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, **options.pop("env", {})}
        done = subprocess.run(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
            check=False, env=surroundings, **options,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        assert code == 0 or "Traceback" not in done.stdout, done.stdout
        return done

    return run_it


@pytest.fixture
def ledger(pytestconfig: pytest.Config) -> Callable[[str, str, str], None]:
    """Note a fault, what was lost by it, and how long it took to recover."""

    def note(fault: str, lost: str, recovery: str) -> None:
        pytestconfig.stash.setdefault(TABLE, []).append((fault, lost, recovery))

    return note


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table."""
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    table = [("fault", "what was lost", "time to recover"), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    terminalreporter.section("what faults cost")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture
def logged() -> Callable[[Path, str], list[tuple[int, float]]]:
    """What a run logged of one metric, by step."""

    def read(folder: Path, column: str) -> list[tuple[int, float]]:
        try:
            with (folder / "csv" / "metrics.csv").open(newline="") as file:
                return [(int(row["step"]), float(row[column])) for row in csv.DictReader(file) if row.get(column)]
        except (FileNotFoundError, ValueError):  # not there yet, or half a line
            return []

    return read


@pytest.fixture
def assert_same_run(logged: Callable[[Path, str], list[tuple[int, float]]]) -> Callable[[Path, Path], None]:
    """Two runs ended in the same weights, bit for bit, and logged the same losses at the same steps."""

    def check(first: Path, second: Path) -> None:
        for name in ("last.ckpt", "best.ckpt"):
            one, other = (torch.load(folder / "checkpoints" / name, weights_only=True) for folder in (first, second))
            for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers"):
                torch.testing.assert_close(one[part], other[part], rtol=0, atol=0)
        for column in ("train/loss", "val/loss", "val/image_to_location/top10"):
            assert logged(first, column) == logged(second, column), column

    return check
