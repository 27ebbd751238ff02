"""`python bare_disk.py train.py ...`: on a disk like Colab's Drive or exFAT, which has neither links nor locks."""

import errno
import fcntl
import os
import runpy
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

fsync = os.fsync


def failing(code: int) -> Callable[..., None]:
    """A call that the file system has not got."""

    def call(*_: Any, **__: Any) -> None:
        raise OSError(code, os.strerror(code))

    return call


def fsync_of_files(number: Any) -> None:
    """Folders cannot be synchronised."""
    if stat.S_ISDIR(os.fstat(number if isinstance(number, int) else number.fileno()).st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fsync(number)


if __name__ == "__main__":
    os.link, fcntl.flock, os.fsync = failing(errno.ENOTSUP), failing(errno.ENOSYS), fsync_of_files  # type: ignore
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
