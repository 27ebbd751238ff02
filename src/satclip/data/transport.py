"""Bytes from elsewhere: http(s) with retries and resumption, and any command through `pipe:`."""

import io
import logging
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
import webdataset
from urllib3.exceptions import HTTPError

from satclip.data.atomic import atomic_file

log = logging.getLogger(__name__)
ATTEMPTS = 5  # without a byte of progress
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20
THREADS = 32  # that fetch at a time
BUSY = (429, 500, 502, 503, 504)  # answers of a server that may be asked again
PATIENCE = urllib3.Retry(
    None, connect=0, read=0, other=0, redirect=5, status=ATTEMPTS, backoff_factor=0.2, status_forcelist=BUSY,
    raise_on_status=False,
)  # fmt: skip
_pools: dict[tuple[int, str], urllib3.PoolManager] = {}


def is_http(url: str) -> bool:
    """Whether parts of the file at this address can be asked for."""
    return url.startswith(("http://", "https://"))


def fetch(url: str, target: Path) -> None:
    """Copy what lies at `url` (http, https, s3, `pipe:` or anything webdataset opens) to a file, whole or not at all.

    Raises:
        FileNotFoundError: the server says that there is no such thing.
        OSError: it cannot be had in spite of several attempts.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(target) as part, part.open("wb") as file, opened(url) as stream:
        shutil.copyfileobj(stream, file, CHUNK)


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """A stream of what lies at `url`, to be read once from front to back.

    Raises:
        FileNotFoundError: there is no such thing.
        OSError: it cannot be had, or the command behind `pipe:` fails.
    """
    if is_http(url):
        yield io.BufferedReader(_Web(url), CHUNK)
    elif url.startswith(("pipe:", "s3://")):
        command = f"aws s3 cp {shlex.quote(url)} -" if url.startswith("s3://") else url.removeprefix("pipe:")
        with subprocess.Popen(command, shell=True, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                yield process.stdout
            except BaseException:  # the reader has enough: the command need not finish
                process.kill()
                raise
            while process.stdout.read(CHUNK):
                pass
        if process.returncode:
            raise OSError(f"`{command}` ended with {process.returncode}")
    else:
        with webdataset.gopen(url) as stream:
            yield stream


def parts_address(url: str) -> str | None:
    """Where parts of a file on the web can be asked for: what `url` leads to, or None where there are no parts.

    A hub sends every request on to another server; asking it a thousand times for one file would be refused.

    Raises:
        FileNotFoundError: the server says that there is no such thing.
        OSError: it cannot be had in spite of several attempts.
    """
    for attempt in range(ATTEMPTS):
        try:
            answer = _asked(url, 0, 0)
            answer.close()
            return urljoin(url, answer.geturl() or url) if answer.status == 206 else None
        except HTTPError as error:
            _wait(url, attempt, error)
    raise OSError(f"{url}: no answer in {ATTEMPTS} attempts; is the network up?")


def fetch_part(url: str, start: int, length: int) -> bytes | None:
    """Bytes `start` to `start + length` of a file on the web, fewer at its end; None where the server sends no parts.

    Raises:
        FileNotFoundError: the server says that there is no such thing.
        OSError: it cannot be had in spite of several attempts.
    """
    for attempt in range(ATTEMPTS):
        try:
            answer = _asked(url, start, start + length - 1)
            if answer.status == 200:
                answer.close()
                return None
            data = answer.read() if answer.status == 206 else b""
            answer.release_conn()
            return data
        except HTTPError as error:
            _wait(url, attempt, error)
    raise OSError(f"{url}: no answer in {ATTEMPTS} attempts; is the network up?")


class _Web(io.RawIOBase):
    """A file on the web, read from front to back; where the connection breaks it goes on after the last byte."""

    def __init__(self, url: str) -> None:
        self.url, self.position, self.attempt = url, 0, 0
        self.answer: urllib3.BaseHTTPResponse | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            try:
                if self.answer is None:
                    self.answer = self._ask()
                data = self.answer.read1(len(buffer))
            except HTTPError as error:
                self._drop()
                self.attempt += 1
                if self.attempt == ATTEMPTS:
                    raise OSError(
                        f"{self.url}: broke off {ATTEMPTS} times without progress; is the network up?"
                    ) from error
                _wait(self.url, self.attempt, error)
                continue
            self.attempt = 0
            buffer[: len(data)] = data
            self.position += len(data)
            return len(data)

    def close(self) -> None:
        self._drop()
        super().close()

    def _ask(self) -> urllib3.BaseHTTPResponse:
        answer = _asked(self.url, self.position)
        if self.position and answer.status == 200:  # from the beginning again: the server sends no parts
            skipped = 0
            while skipped < self.position:
                skipped += len(answer.read(min(CHUNK, self.position - skipped)))
        return answer

    def _drop(self) -> None:
        if self.answer is not None:
            self.answer.close()
            self.answer = None


def _asked(url: str, start: int = 0, end: int | None = None) -> urllib3.BaseHTTPResponse:
    """The answer to a request for the file from `start` to `end`, its body not read yet."""
    headers = {"Range": f"bytes={start}-{'' if end is None else end}"} if start or end is not None else {}
    answer = _pool(url).request("GET", url, headers=headers, preload_content=False, retries=PATIENCE)
    if answer.status in (200, 206, 416):
        return answer
    answer.close()
    if answer.status in (404, 410):
        raise FileNotFoundError(f"{url}: the server has no such file ({answer.status}); check dataset.urls")
    if answer.status in (401, 403):
        raise PermissionError(f"{url}: the server does not give this to you ({answer.status}); check dataset.urls")
    raise OSError(f"{url}: the server answers {answer.status} {answer.reason}")


def _pool(url: str) -> urllib3.PoolManager:
    """Connections that are kept open, of this process only: a forked worker must not share its parent's."""
    scheme, host = urlsplit(url)[:2]
    proxy = "" if proxy_bypass(host) else getproxies().get(scheme, "")
    key = (os.getpid(), proxy)
    if key not in _pools:
        timeout = urllib3.Timeout(TIMEOUT)
        if proxy:
            _pools[key] = urllib3.ProxyManager(proxy, maxsize=THREADS, timeout=timeout)
        else:
            _pools[key] = urllib3.PoolManager(maxsize=THREADS, timeout=timeout)
    return _pools[key]


def _wait(url: str, attempt: int, error: Exception) -> None:
    log.info("%s: %s; trying again", url, error)
    time.sleep(0.1 * 2**attempt)
