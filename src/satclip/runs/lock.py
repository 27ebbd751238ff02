"""One process per run folder: a lock file with a heartbeat."""

import atexit
import json
import logging
import os
import secrets
import socket
import threading
import time
from pathlib import Path

log = logging.getLogger(__name__)

Claim = dict[str, object]

NAME = ".running"
HOST = socket.gethostname()
GONE: Claim = {}
PATIENCE = 150  # looks, three seconds in all, at a claim that is not whole yet: its writer may have to wait for a core
BEAT = 15.0  # seconds between two signs of life
DEAD = 6 * BEAT  # without one for so long, a process of another machine is taken for dead

_held: dict[Path, object] = {}  # by their tokens
_warned: list[Path] = []


def claim(folder: Path) -> None:
    """Take `folder` for this process until it ends or gives it back.

    A claim outlives its process where that was killed; it is stale when the process is gone, when it comes from an
    earlier start of the same SLURM job, or when another machine's has shown no sign of life for 90 seconds. What
    the parent process holds, its child may use.

    Raises:
        BlockingIOError: another process is running there; names it, and says what to do.
        OSError: the folder cannot be written.
    """
    target = folder.absolute() / NAME
    if target in _held:
        return
    owner = _seize(target)
    if owner is not None:
        if (owner.get("host"), owner.get("pid")) == (HOST, os.getppid()):
            return
        raise BlockingIOError(
            f"process {owner['pid']} on {owner['host']} is running in {folder}; wait for it, stop it, or choose "
            f"another folder (should that machine be dead, this passes after {DEAD:.0f} seconds)"
        )
    _held[target] = _read(target).get("token")
    atexit.register(release, folder)
    threading.Thread(target=_beat, args=(target,), daemon=True, name="lock").start()


def release(folder: Path) -> None:
    """Release `folder`; a no-op where it is not held, or where another process has replaced it as stale."""
    target = folder.absolute() / NAME
    if target in _held and _read(target).get("token") == _held.pop(target):
        target.unlink(missing_ok=True)


def is_held(folder: Path) -> bool:
    """Whether another process is running in `folder`; nothing is written there."""
    target = folder.absolute() / NAME
    if target in _held:
        return False
    try:
        owner, silence = _read(target), time.time() - target.stat().st_mtime
    except OSError:
        return False
    return owner is not GONE and _works(owner, silence)


def _seize(target: Path) -> Claim | None:
    """Make `target` a claim of this process, in the place of a stale one; or say who holds it.

    Several processes may find the same stale claim: between the check and the removal another may have written a claim
    of its own. So the right to remove one particular claim is a lock file as well, named by that claim's token and
    taken in the same way. Its holder is the only one, and checks once more before it removes anything.
    """
    while not _create(target):
        owner = _read(target)
        if owner is GONE:
            continue
        if _works(owner, _silence(target)):
            return owner
        right = target.with_name(f"{NAME}.{owner.get('token', 'half')}.stale")
        if _seize(right) is None:
            found = _read(target)
            if found is not GONE and found == owner:  # a claim without a token is not one that is gone
                target.unlink(missing_ok=True)
            right.unlink(missing_ok=True)
        else:
            time.sleep(0.01)
    return None


def _create(target: Path) -> bool:
    """Write the file unless there is one: whole, since it appears by a link, where the file system has links."""
    job, token = os.environ.get("SLURM_JOB_ID"), secrets.token_hex(8)
    me = {"pid": os.getpid(), "host": HOST, "born": _born(os.getpid()), "slurm_job": job, "token": token}
    draft = target.with_name(f"{NAME}.{token}")
    draft.write_text(json.dumps(me))
    try:
        os.link(draft, target)
    except FileExistsError:
        return False
    except OSError as error:  # exFAT, SMB, Google Drive and other mounts refuse it, each by another number
        _warn_once(target.parent, error)
        return _create_in_place(target, json.dumps(me))
    finally:
        draft.unlink(missing_ok=True)
    return True


def _create_in_place(target: Path, content: str) -> bool:
    """Write the file unless there is one; for a moment it is there and empty (see `_read`)."""
    try:
        with target.open("x") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _warn_once(folder: Path, error: OSError) -> None:
    if not _warned:
        _warned.append(folder)
        log.warning(
            "no hard links in %s (%s): the folder is locked by a plain file, which is less reliable", folder, error
        )


def _read(target: Path) -> Claim:
    """What a claim says; GONE where there is none, nothing where its writer was killed over it."""
    for _ in range(PATIENCE):
        try:
            content = json.loads(target.read_text())
        except FileNotFoundError:
            return GONE
        except ValueError:  # being written, on a file system without links
            time.sleep(0.02)
            continue
        return content if isinstance(content, dict) and {"pid", "host", "born"} <= content.keys() else {}
    return {}


def _silence(target: Path) -> float:
    """Seconds since the last sign of life."""
    try:
        return _now(target.parent) - target.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _works(owner: Claim, silence: float) -> bool:
    """Whether the process that claimed a folder is still running."""
    if not owner or (silence > DEAD and owner["host"] != HOST):
        return False
    if owner["host"] == HOST:
        born = _born(int(str(owner["pid"])))
        return born is not None and born == owner["born"]
    job = os.environ.get("SLURM_JOB_ID")
    return job is None or owner.get("slurm_job") != job


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
    probe = folder / f"{NAME}.{HOST}.{os.getpid()}.clock"
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
