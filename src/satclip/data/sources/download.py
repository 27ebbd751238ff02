"""Bytes from elsewhere: the web, buckets, and a person's own commands.

An address is data: it never reaches a shell. The one exception is a `Command`, which only an address that a person
gave (dataset.urls) is ever made into; `pipe:` in an address from anywhere else is refused.
"""

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from satclip.data.sources import bucket, web
from satclip.data.sources.programs import output_of
from satclip.data.sources.web import CHUNK, Look, WebFile, is_http
from satclip.files import atomic_file

PIPE = "pipe:"


class Command(str):
    """A `pipe:` address that a person gave in dataset.urls, to be run by the shell."""

    __slots__ = ()


def can_be_asked(url: str) -> bool:
    """Whether a server or a bucket can be asked what lies at an address, and for parts of it."""
    return is_http(url) or bucket.is_bucket(url)


def look(url: str) -> Look:
    """What a server or a bucket says of what lies at an address that `can_be_asked`; raises what `fetch` does."""
    return bucket.look(url) if bucket.is_bucket(url) else web.look(url)


def fetch_part(url: str, start: int, length: int) -> bytes | None:
    """A part of what lies at an address that `can_be_asked`; None where the server sends no parts.

    In a bucket all of it must lie within the object. Raises what `fetch` does.
    """
    return bucket.fetch_part(url, start, length) if bucket.is_bucket(url) else web.fetch_part(url, start, length)


def fetch(url: str, target: Path, most: int | None = None) -> None:
    """Copy what lies at `url` (http, https, s3, gs, az, a path or a `Command`) to a file, whole or not at all.

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
        with output_of(str(url.removeprefix(PIPE))) as stream:
            yield stream
    elif url.lower().startswith(PIPE):
        raise PermissionError(f"{url!r} is a command, and those are run from dataset.urls only; give it there")
    elif bucket.is_bucket(url):
        with bucket.opened_object(url, most) as stream:
            yield stream
    elif scheme in ("", "file"):
        with Path(url.removeprefix("file://").removeprefix("file:")).open("rb") as stream:
            yield stream
    else:
        raise OSError(
            f"{url}: nothing here reads {scheme}://; give http(s), s3, gs, az, a path, or pipe: and a command"
        )
