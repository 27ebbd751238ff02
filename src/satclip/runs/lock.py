"""One run per folder: a file that says who works there, and whether he still does."""

import atexit
import json
import os
import socket
import threading
import time
from pathlib import Path

NAME = ".running"
BEAT = 15.0  # seconds between two signs of life
DEAD = 6 * BEAT  # without one for so long, a process of another machine is taken for dead

_held: set[Path] = set()


def claim(folder: Path) -> None:
    """Take `folder` for this process until it ends or gives it back.

    A claim outlives its process where that was killed; it does not count when the process is gone, when it comes from
    an earlier start of the same SLURM job, or when another machine's has shown no sign of life for 90 seconds. What
    the parent process holds, its child may use.

    Raises:
        BlockingIOError: another process works there; says which, and what to do.
    """
    target = folder.absolute() / NAME
    if target in _held:
        return
    while not _create(target):
        try:
            owner = json.loads(target.read_text())
            if owner["host"] == socket.gethostname() and owner["pid"] == os.getppid():
                return
            silence = _now(folder) - target.stat().st_mtime
        except FileNotFoundError:
            continue
        except (ValueError, KeyError):  # killed while it wrote this very file
            owner, silence = {}, DEAD
        if _works(owner, silence):
            raise BlockingIOError(
                f"process {owner['pid']} on {owner['host']} is running in {folder}; wait for it, stop it, or choose "
                f"another folder (should that machine be dead, this passes after {DEAD:.0f} seconds)"
            )
        target.unlink(missing_ok=True)
    _held.add(target)
    atexit.register(release, folder)
    threading.Thread(target=_beat, args=(target,), daemon=True, name="lock").start()


def release(folder: Path) -> None:
    """Give `folder` back; nothing happens where it is not held."""
    target = folder.absolute() / NAME
    if target in _held:
        _held.discard(target)
        target.unlink(missing_ok=True)


def _create(target: Path) -> bool:
    """Write the file unless there is one; whole, since it appears by a link."""
    me = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "born": _born(os.getpid()),
        "slurm_job": os.environ.get("SLURM_JOB_ID"),
    }
    draft = target.with_name(f"{NAME}.{socket.gethostname()}.{os.getpid()}")
    draft.write_text(json.dumps(me))
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _works(owner: dict[str, object], silence: float) -> bool:
    """Whether the process that claimed a folder still works there."""
    if not owner or (silence > DEAD and owner["host"] != socket.gethostname()):
        return False
    if owner["host"] == socket.gethostname():
        born = _born(int(str(owner["pid"])))
        return born is not None and born == owner["born"]
    job = os.environ.get("SLURM_JOB_ID")
    return job is None or owner["slurm_job"] != job


def _born(process: int) -> str | None:
    """Something that tells a process from a later one with the same number; None where there is no such process."""
    try:
        os.kill(process, 0)
        stat = Path(f"/proc/{process}/stat")
        if not stat.exists():
            return "unknown"  # not Linux
        fields = stat.read_text().rsplit(")", 1)[1].split()
    except (ProcessLookupError, FileNotFoundError):
        return None
    except PermissionError:
        return "unknown"
    return None if fields[0] == "Z" else fields[19]


def _now(folder: Path) -> float:
    """The time by the clock that stamps the files of `folder`, which may be another machine's."""
    probe = folder / f"{NAME}.{socket.gethostname()}.{os.getpid()}.clock"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _beat(target: Path) -> None:
    while True:
        time.sleep(BEAT)
        if target not in _held:
            return
        try:
            os.utime(target)
        except OSError:
            continue  # the folder's server may come back
