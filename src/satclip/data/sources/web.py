"""Files on the web: with retries, resumption, and nothing believed that a server says of them."""

import io
import logging
import os
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

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
HUB = "https://huggingface.co"
_pools: dict[tuple[int, str], urllib3.PoolManager] = {}


@dataclass(frozen=True)
class Look:
    """What a server says of a file.

    Attributes:
        parts: where parts of it can be asked for; None where there are none.
        mark: its ETag or date, which changes when the file does; empty where the server tells neither.
        size: bytes; None where it does not say.
    """

    parts: str | None
    mark: str
    size: int | None

    def differs(self, mark: str, size: int | None) -> bool:
        """Whether this is another file than that one, as far as the server told both times."""
        return bool(self.mark and mark and self.mark != mark) or (None not in (self.size, size) and self.size != size)


def is_http(url: str) -> bool:
    """Whether parts of the file at this address can be asked for."""
    return url.startswith(("http://", "https://"))


def look(url: str) -> Look:
    """Ask a server for one byte, to learn what there is.

    A hub sends every request on to another server; asking it a thousand times for one file would be refused, so the
    address of the parts is the one that it leads to.

    Raises:
        FileNotFoundError: the server says that there is no such thing.
        OSError: it cannot be had in spite of several attempts.
    """
    for attempt in range(ATTEMPTS):
        try:
            answer = _asked(url, 0, 0)
            answer.close()
            return _told(url, answer)
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
            data = answer.read(length) if answer.status == 206 else b""
            answer.release_conn()
            return data
        except HTTPError as error:
            _wait(url, attempt, error)
    raise OSError(f"{url}: no answer in {ATTEMPTS} attempts; is the network up?")


class WebFile(io.RawIOBase):
    """A file on the web, read from front to back; where the connection breaks it resumes after the last byte."""

    def __init__(self, url: str, most: int | None = None) -> None:
        self.url, self.most, self.position, self.attempt = url, most, 0, 0
        self.first: Look | None = None
        self.answer: urllib3.BaseHTTPResponse | None = None

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, from another connection where one breaks."""
        while True:
            try:
                if self.answer is None:
                    self.answer = self._ask()
                data = b"" if self.answer.status == 416 else self.answer.read1(len(buffer))
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
        """Let go of the connection."""
        self._drop()
        super().close()

    def _ask(self) -> urllib3.BaseHTTPResponse:
        answer = _asked(self.url, self.position)
        told = _told(self.url, answer)
        if self.most is not None and (told.size or 0) > self.most:
            answer.close()
            raise OSError(f"{self.url}: the server announces {told.size} bytes where {self.most} have room")
        if self.first is not None and answer.status != 416 and told.differs(self.first.mark, self.first.size):
            answer.close()
            raise OSError(f"{self.url}: changed while it was read; try again")
        self.first = self.first or told
        if self.position and answer.status == 200:  # from the beginning again: the server sends no parts
            skipped = 0
            while skipped < self.position:
                block = answer.read(min(CHUNK, self.position - skipped))
                if not block:
                    raise OSError(f"{self.url}: shorter than it was; try again")
                skipped += len(block)
        return answer

    def _drop(self) -> None:
        if self.answer is not None:
            self.answer.close()
            self.answer = None


def _asked(url: str, start: int = 0, end: int | None = None) -> urllib3.BaseHTTPResponse:
    """The answer to a request for the file from `start` to `end`, its body not read yet.

    Redirects are followed to http(s) only, and a credential stays with the host that it is for: urllib3 drops the
    header `Authorization` where a redirect leads to another one.
    """
    headers = {"Range": f"bytes={start}-{'' if end is None else end}"} if start or end is not None else {}
    headers |= _credentials(url)
    try:
        answer = _pool(url).request("GET", url, headers=headers, preload_content=False, retries=PATIENCE)
    except LocationValueError as error:
        raise OSError(f"{url}: leads to an address that is not http(s) ({error}); check dataset.urls") from None
    if answer.status in (200, 206, 416):
        said = answer.headers.get("Content-Range", "")
        if answer.status == 206 and said and not said.startswith(f"bytes {start}-"):
            answer.close()
            raise OSError(f"{url}: asked for bytes from {start}, the server sends {said!r}")
        return answer
    answer.close()
    if answer.status in (404, 410):
        raise FileNotFoundError(f"{url}: the server has no such file ({answer.status}); check dataset.urls")
    if answer.status in (401, 403):
        raise PermissionError(
            f"{url}: the server does not give this to you ({answer.status}); check dataset.urls, and for a private or "
            "gated data set of the hub the token (HF_TOKEN, or `hf auth login`)"
        )
    raise OSError(f"{url}: the server answers {answer.status} {answer.reason}")


def _told(url: str, answer: urllib3.BaseHTTPResponse) -> Look:
    """What an answer says of the whole file."""
    mark = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    size = answer.headers.get("Content-Length", "") if answer.status == 200 else ""
    if answer.status == 206:
        size = answer.headers.get("Content-Range", "").rpartition("/")[2]
    parts = urljoin(url, answer.geturl() or url) if answer.status == 206 else None
    return Look(parts, mark, int(size) if size.isdecimal() else None)


def _credentials(url: str) -> dict[str, str]:
    """The token of the Hugging Face hub for addresses of the hub itself, nothing for any other."""
    hub, asked = urlsplit(os.environ.get("HF_ENDPOINT", HUB)), urlsplit(url)
    if (asked.scheme, asked.hostname, asked.port) != (hub.scheme, hub.hostname, hub.port):
        return {}
    from huggingface_hub import constants, get_token  # half a second, and only the hub's own need it

    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return {"Authorization": f"Bearer {token}"} if token else {}


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
