"""Bytes from elsewhere: the web, buckets, and a person's own commands.

An address is data: it never reaches a shell. The one exception is a `Command`, which only an address that a person
gave (dataset.urls) is ever made into; `pipe:` in an address from anywhere else is refused.
"""

import io
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from satclip.data.sources.web import CHUNK, WebFile, is_http
from satclip.files import atomic_file

TOOLS = {"s3": ("aws", "s3", "cp", "{}", "-"), "gs": ("gsutil", "cat", "{}")}  # {} is the address, as one argument
PIPE = "pipe:"


class Command(str):
    """A `pipe:` address that a person gave in dataset.urls, to be run by the shell."""

    __slots__ = ()


def fetch(url: str, target: Path, most: int | None = None) -> None:
    """Copy what lies at `url` (http, https, s3, gs, a path or a `Command`) to a file, whole or not at all.

    Args:
        url: the address.
        target: the file.
        most: bytes that it may have; by default what the disk has room for.

    Raises:
        FileNotFoundError: the server says that there is no such thing.
        PermissionError: the server does not give it, or the address is a command that came from elsewhere.
        OSError: it cannot be had in spite of several attempts, or is too large.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    room = shutil.disk_usage(target.parent).free
    limit = room if most is None else min(most, room)
    with atomic_file(target) as part, part.open("wb") as file, opened(url, limit) as stream:
        taken = 0
        while block := stream.read(CHUNK):
            taken += len(block)
            if taken > limit:
                raise OSError(f"{url}: longer than {limit} bytes, {_why(limit, room)}")
            file.write(block)


def _why(limit: int, room: int) -> str:
    return "all that is free on the disk of the cache; make room" if limit == room else "what such a file may have"


@contextmanager
def opened(url: str, most: int | None = None) -> Iterator[IO[bytes]]:
    """A stream of what lies at `url`, to be read once from front to back.

    Raises:
        FileNotFoundError: there is no such thing.
        PermissionError: the server does not give it, or the address is a command that came from elsewhere.
        OSError: it cannot be had, a server announces more than `most` bytes, or a command fails.
    """
    scheme = url.split(":", 1)[0].lower() if "://" in url else ""
    if is_http(url):
        yield io.BufferedReader(WebFile(url, most), CHUNK)
    elif isinstance(url, Command):
        with _output(url.removeprefix(PIPE), shell=True) as stream:
            yield stream
    elif url.lower().startswith(PIPE):
        raise PermissionError(f"{url!r} is a command, and those are run from dataset.urls only; give it there")
    elif scheme in TOOLS:
        with _output([url if word == "{}" else word for word in TOOLS[scheme]], shell=False) as stream:
            yield stream
    elif scheme in ("", "file"):
        with Path(url.removeprefix("file://").removeprefix("file:")).open("rb") as stream:
            yield stream
    else:
        raise OSError(f"{url}: nothing here reads {scheme}://; give http(s), s3, gs, a path, or pipe: and a command")


@contextmanager
def _output(command: str | list[str], *, shell: bool) -> Iterator[IO[bytes]]:
    """What a program writes.

    Raises:
        OSError: it is not installed, or fails.
    """
    try:
        started = subprocess.Popen(command, shell=shell, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise OSError(
            f"{command[-2 if len(command) > 3 else -1]}: needs the program {command[0]}; install it"
        ) from None
    with started as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        except BaseException:  # the reader has enough: the command need not finish
            process.kill()
            raise
        while process.stdout.read(CHUNK):
            pass
    if process.returncode:
        raise OSError(f"`{command if shell else ' '.join(command)}` ended with {process.returncode}")
