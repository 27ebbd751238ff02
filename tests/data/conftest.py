"""Small data sets whose patches say which they are: patch number n is filled with n + 1."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from satclip.data.sources import web
from satclip.data.sources.index_csv import write_index
from satclip.data.sources.shards import write_shard
from satclip.sphere import uniform_on_sphere

MakeShards = Callable[..., Path]
Encode = Callable[..., bytes]


def encoded(pixels: NDArray[np.generic], **options: object) -> bytes:
    """A GeoTIFF of [bands, H, W] pixels."""
    bands, height, width = pixels.shape
    with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as file:
        with file.open(
            driver="GTiff", count=bands, height=height, width=width, dtype=str(pixels.dtype),
            transform=Affine(10, 0, 500_000, 0, -10, 5_000_000), **options,
        ) as target:  # fmt: skip
            target.write(pixels)
        return bytes(file.read())


@pytest.fixture
def encode() -> Encode:
    return encoded


@pytest.fixture
def make_shards(tmp_path: Path) -> MakeShards:
    def make(sizes: Sequence[int], *, name: str = "shards", bands: int = 3, size: int = 8, index: bool = True) -> Path:
        root = tmp_path / name
        root.mkdir()
        total = sum(sizes)
        lonlat = uniform_on_sphere(total, torch.Generator().manual_seed(1))
        names = [f"patch_{number}.tif" for number in range(total)]
        row = 0
        for shard, count in enumerate(sizes):
            samples = [
                (names[n], encoded(np.full((bands, size, size), n + 1, np.uint16)), *lonlat[n].tolist())
                for n in range(row, row + count)
            ]
            write_shard(root / f"shard-{shard:03d}.tar", samples)
            row += count
        if index:
            write_index(root / "index.csv", names, lonlat)
        return root

    return make


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has had enough is no error."""


class Server:
    """Serves a folder; what it does wrong can be set."""

    def __init__(self, root: Path) -> None:
        self.root, self.ranges, self.break_after, self.stall, self.errors = root, True, 0, 0.0, 0
        self.pause = 0.0  # before every part of what is sent
        self.marks = False  # whether it tells ETags and whole sizes
        self.leads: dict[str, str] = {}  # names of files, and where it sends who asks for them
        self.says: dict[str, str] = {}  # headers, whatever is true
        self.tokens: list[str | None] = []  # that it was given
        self.paths: list[str] = []  # host and file, in the same order
        self.refuse = 0  # with this status
        self.asked: Counter[str] = Counter()
        self.sent = 0
        self.counting = threading.Lock()
        self.http = QuietServer(("127.0.0.1", 0), partial(Handler, self))
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, server: Server, *args: Any) -> None:
        self.site = server
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        site, path = self.site, self.site.root / unquote(urlsplit(self.path).path).lstrip("/")
        site.asked[path.name] += 1
        site.tokens.append(self.headers.get("Authorization"))
        site.paths.append(f"{self.headers.get('Host')} {path.name} {len(site.paths)}")
        if site.refuse:
            self.send_response(site.refuse)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path.name in site.leads:
            self.send_response(302)
            self.send_header("Location", site.leads[path.name])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if site.errors or not path.is_file():
            status = 503 if site.errors else 404
            site.errors = max(0, site.errors - 1)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        data, status = path.read_bytes(), 200
        if site.ranges and (asked := self.headers.get("Range")):
            first, last = asked.removeprefix("bytes=").split("-")
            data, status = data[int(first) : int(last) + 1 if last else None], 206
        self.send_response(status if data else 416)
        headers = {"Content-Length": str(len(data))}
        if site.marks:
            whole = path.read_bytes()
            headers["ETag"] = f'"{hashlib.sha256(whole).hexdigest()}"'
            if status == 206:
                headers["Content-Range"] = f"bytes {first}-{int(first) + len(data) - 1}/{len(whole)}"
        for name, value in (headers | site.says).items():
            self.send_header(name, value)
        self.end_headers()
        stall, site.stall = site.stall, 0.0
        time.sleep(stall)
        if self.command == "HEAD":
            return
        limit = site.break_after or len(data)
        with site.counting:  # before the client can know that it has all
            site.sent += len(data[:limit])
        for first in range(0, limit, 100_000 if site.pause else limit):
            time.sleep(site.pause)
            self.wfile.write(data[first : min(first + 100_000, limit) if site.pause else limit])
        if limit < len(data):
            self.wfile.flush()
            self.close_connection = True

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(web, "_wait", lambda *_: None)
    monkeypatch.setattr(web, "_pools", {})
    (tmp_path / "www").mkdir()
    site = Server(tmp_path / "www")
    yield site
    for pool in web._pools.values():
        pool.clear()
    site.http.shutdown()
    site.http.server_close()


@pytest.fixture
def blob(server: Server) -> bytes:
    data = bytes(range(256)) * 4000
    (server.root / "blob").write_bytes(data)
    return data
