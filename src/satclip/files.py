"""Files and folders that are either whole or not there, on file systems that can do less than POSIX asks of them."""

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import socket
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

log = logging.getLogger(__name__)
HOST = socket.gethostname()
# What a file system says of a call that it does not have (Colab's Drive, gcsfuse, exFAT, SMB, some Lustre).
ABSENT_CALL = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.ENOLCK, errno.EPERM}
_threads: dict[Path, threading.Lock] = defaultdict(threading.Lock)
# A fork copies locks as they are, and a lock that another thread held would never be released in the child.
os.register_at_fork(after_in_child=_threads.clear)


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well and vanishes when it does not."""
    part = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.part")
    try:
        yield part
        _to_disk(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def atomic_folder(target: Path) -> Iterator[Path]:
    """A folder to write to, which becomes `target` (replacing what was there) when the block ends well.

    What processes that were killed on this machine left behind is cleared away first.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(target.parent, target.name)
    prefix = f".{target.name}.{HOST}."
    part, old = (target.with_name(f"{prefix}{os.getpid()}.{state}") for state in ("part", "old"))
    part.mkdir()
    try:
        yield part
        if target.exists():
            move(target, old)
        move(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if old.exists() and not target.exists():  # stopped between the two moves
            move(old, target)
        shutil.rmtree(old, ignore_errors=True)


def move(source: Path, target: Path) -> None:
    """Give a folder another name, which nothing has yet: by a rename, or by copying where that cannot be.

    A rename fails from one file system to another, and on a container's overlay for folders out of its image.
    """
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copied = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.copy")
        shutil.copytree(source, copied, symlinks=True)
        copied.replace(target)
        shutil.rmtree(source)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on this file among the processes of this machine.

    Where the file system has no locks, the threads of this process still wait for each other; processes then may do the
    same work twice, and the last one's file stays.
    """
    beside = path.with_name(f".{path.name}.lock")
    with _threads[beside], beside.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in ABSENT_CALL:
                raise
            _warn_once(f"{path.parent} is on a file system without locks ({error.strerror}): processes may fetch twice")
            yield
            return
        try:
            yield
        finally:
            # Unlocked explicitly: a worker that was forked meanwhile has the file open too, so closing is not enough.
            fcntl.flock(file, fcntl.LOCK_UN)


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno not in ABSENT_CALL:
                raise
            _warn_once(
                f"{path.parent} is on a file system without fsync ({error.strerror}): a power cut may lose files"
            )


@lru_cache
def _warn_once(message: str) -> None:
    log.warning("%s", message)


def sha256_of(path: Path) -> str:
    """The checksum of a file, in hexadecimal, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def clear_leftovers(folder: Path, name: str = "*") -> None:
    """Remove what processes that were killed on this machine left unfinished."""
    for left in folder.glob(f".{name}.{HOST}.*"):
        process = left.name.split(f".{HOST}.")[-1].split(".")[0]
        if process.isdigit() and not _alive(int(process)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
