"""Files and folders that are either whole or not there."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = socket.gethostname()


@contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A path to write to, which becomes `target` when the block ends well and vanishes when it does not."""
    part = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
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
            target.replace(old)
        part.replace(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


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
