"""Shards that lie elsewhere: indexed once, then kept in a bounded local cache that is filled a window ahead."""

import fcntl
import io
import json
import logging
import math
import os
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.progress import track
from torch.utils.data import Sampler

from satclip import ranks
from satclip.data.atomic import atomic_file, clear_leftovers
from satclip.data.shards import INDEX_SUFFIX, Members, Shards, scan, scan_stream
from satclip.data.transport import THREADS, fetch, fetch_part, is_http, parts_address

log = logging.getLogger(__name__)
DOWNLOADS = 4  # shards that are fetched ahead at a time
BLOCK = 8192  # bytes that are asked for when reading the heads of a tar from afar


class CachedShards(Shards):
    """Shards at addresses, fetched to `folder` when they are needed, the least recently used removed again.

    Whoever needs a shard first fetches it, in whatever process, while the others wait; what was fetched ahead of time
    is there already. Every node fetches every shard of an epoch, as each of its batches mixes many of them.

    Args:
        urls: where the shards are: http(s), s3, or `pipe:` and a command.
        folder: the cache.
        gibibytes: how large it may grow.
        window: how many shards are mixed with each other; twice as many must fit.
    """

    def __init__(self, urls: Sequence[str], folder: Path, gibibytes: float, window: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
        self.urls, self.folder, self.limit = list(urls), folder, int(gibibytes * 2**30)
        paths = [folder / local_name(url) for url in urls]
        with ThreadPoolExecutor(THREADS) as threads:
            work = threads.map(index_of, urls, paths)
            quiet = ranks.rank() > 0
            tables = list(track(work, "Indexing shards", total=len(paths), transient=True, disable=quiet))
        super().__init__(paths, tables)
        self.ends = [max(map(sum, zip(table.offsets, table.sizes, strict=True)), default=0) for table in tables]
        largest = sum(sorted(self.ends)[-2 * window :])
        if self.limit < largest:
            raise ValueError(
                f"dataset.cache_gib={gibibytes:g} cannot hold the shards that are mixed and those that come next; give "
                f"dataset.cache_gib={math.ceil(largest / 2**30)} or less than dataset.shuffle_window={window}"
            )
        self._wanted: queue.SimpleQueue[int] | None = None
        self._pending: set[int] = set()

    def prefetch(self, rows: Sequence[int]) -> None:
        """Begin to fetch the shards of these rows in the background."""
        if self._wanted is None:
            self._wanted = queue.SimpleQueue()
            for _ in range(DOWNLOADS):
                # Daemons: a training that is over does not wait for shards that it no longer needs.
                threading.Thread(target=self._fetch_ahead, args=(self._wanted,), daemon=True).start()
        for shard in dict.fromkeys(self.shard_of[list(rows)].tolist()):
            if shard not in self._pending and not self.paths[shard].exists():
                self._pending.add(shard)
                self._wanted.put(shard)

    def _fetch_ahead(self, wanted: "queue.SimpleQueue[int]") -> None:
        while True:
            shard = wanted.get()
            try:
                self._at_hand(shard)
            except (OSError, ValueError) as error:  # whoever needs the shard tries again and fails loudly
                log.info("not fetched ahead: %s", error)
            self._pending.discard(shard)

    def _at_hand(self, shard: int) -> Path:
        """The file of a shard, fetched if need be."""
        path = self.paths[shard]
        with locked(path):
            if not path.exists():
                fetch(self.urls[shard], path)
                if path.stat().st_size < self.ends[shard]:
                    path.unlink()
                    raise OSError(f"{self.urls[shard]} is not the shard that was indexed; remove {self.folder}")
                self._make_room(path)
            os.utime(path)
        return path

    def _make_room(self, newest: Path) -> None:
        """Remove the least recently used shards until the cache fits its limit."""
        with locked(self.folder / "room"):
            held = []
            for path in self.paths:
                try:
                    state = path.stat()
                except FileNotFoundError:
                    continue
                held.append((state.st_mtime_ns, state.st_size, path))
            total = sum(size for _, size, _ in held)
            for _, size, path in sorted(held):
                if total <= self.limit or path == newest:
                    break
                path.unlink(missing_ok=True)
                total -= size

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_wanted": None, "_pending": set()}


class LookAhead(Sampler[list[int]]):
    """Batches as they come, their shards asked for `depth` batches before their turn."""

    def __init__(self, batches: Sampler[list[int]], source: CachedShards, depth: int) -> None:
        self.batches, self.source, self.depth = batches, source, depth

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration goes through."""
        if hasattr(self.batches, "set_epoch"):
            self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        waiting: deque[list[int]] = deque()
        for rows in self.batches:
            self.source.prefetch(rows)
            waiting.append(rows)
            if len(waiting) > self.depth:
                yield waiting.popleft()
        yield from waiting


def local_name(url: str) -> str:
    """A file name for a shard of that address: its own, made unique."""
    last = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in url.split("/")[-1])
    return f"{blake2b(url.encode(), digest_size=5).hexdigest()}-{last[-60:].removesuffix('.tar')}.tar"


def index_of(url: str, path: Path) -> Members:
    """The patches of a shard at `url`, whose local copy is or would be `path`; kept beside that.

    Taken from the first of these that there is: the index kept here, the one beside the shard at its address, the heads
    in the tar read from afar, the whole shard.

    Raises:
        OSError: the shard cannot be had.
        ValueError: it is no tar.
    """
    kept = path.with_name(path.name + INDEX_SUFFIX)
    with locked(path):
        if not kept.exists():
            found = _index_beside(url, kept.with_suffix(".theirs"))
            if found is None:
                found = _index_from_heads(url)
            if found is None:
                found = _index_of_whole(url, path)
            with atomic_file(kept) as part:
                part.write_text(json.dumps({"members": asdict(found)}))
        return Members(**json.loads(kept.read_text())["members"])


def _index_beside(url: str, target: Path) -> Members | None:
    if url.startswith("pipe:"):
        return None
    try:
        fetch(url + INDEX_SUFFIX, target)
        return Members(**json.loads(target.read_text())["members"])
    except OSError as error:
        if is_http(url) and not isinstance(error, (FileNotFoundError, PermissionError)):
            raise
    except (ValueError, KeyError, TypeError) as error:
        log.info("%s is of no use: %s", url + INDEX_SUFFIX, error)
    finally:
        target.unlink(missing_ok=True)
    return None


def _index_from_heads(url: str) -> Members | None:
    address = parts_address(url) if is_http(url) else None
    return None if address is None else scan_stream(io.BufferedReader(_Far(address), BLOCK), url)[0]


def _index_of_whole(url: str, path: Path) -> Members:
    log.info("%s: read whole to find out what it holds", url)
    fetch(url, path)
    return scan(path)


class _Far(io.RawIOBase):
    """A file on the web that can be sought in."""

    def __init__(self, url: str) -> None:
        self.url, self.position = url, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end is not known")
        self.position = offset + (self.position if whence == io.SEEK_CUR else 0)
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        data = fetch_part(self.url, self.position, len(buffer)) or b""
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Nobody else on this machine does anything to this file meanwhile."""
    with path.with_name(f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            # Said aloud: closing alone would not do where a worker was forked meanwhile and holds the file too.
            fcntl.flock(file, fcntl.LOCK_UN)
