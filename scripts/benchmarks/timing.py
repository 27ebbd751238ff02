"""What benchmarks share: a race between jobs, the memory of one, and a printed table."""

import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Job = Callable[[], object]


def race(jobs: dict[str, Job], repeats: int) -> dict[str, float]:
    """Median seconds of each job, warm, run in turn; short jobs are looped up to a millisecond.

    Each turn begins with a run that is not counted: what a job finds in the caches, and in the memory that the one
    before it has freed, would depend on who that was.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    loops, seconds_once = {}, {}
    for name, job in jobs.items():
        for _ in range(2):
            start = time.perf_counter()
            job()
            taken = time.perf_counter() - start
            if taken > 1:  # a warm start matters little
                break
        loops[name], seconds_once[name] = max(1, round(1e-3 / taken)), taken
    for _ in range(repeats):
        for name, job in jobs.items():
            if seconds_once[name] < 1:
                job()
            start = time.perf_counter()
            for _ in range(loops[name]):
                job()
            seconds[name].append((time.perf_counter() - start) / loops[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def trim() -> None:
    """Give back to Linux what was freed, which else counts as held (glibc)."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):  # another libc, which keeps less
        return


def peak_mib(job: Job) -> int | None:
    """MiB that a job holds at its highest, beyond what the process held before; Linux only."""
    reset, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not reset.exists():
        return None

    def resident(field: str) -> int:
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))

    trim()
    reset.write_text("5")
    before = resident("VmRSS")
    job()
    return (resident("VmHWM") - before) // 1024


def show(title: str, table: list[Row]) -> None:
    """Print a table; what a row lacks is left blank."""
    names = list(dict.fromkeys(name for row in table for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in table]
    widths = [max(len(line[i]) for line in [names, *cells]) for i in range(len(names))]
    print(f"\n{title}")
    for line in [names, *cells]:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < value < 1e-3 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return "" if value is None else str(value)
