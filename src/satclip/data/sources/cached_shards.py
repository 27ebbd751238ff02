"""Remote shards: kept in a bounded local cache, prefetched one shuffle window ahead of the training."""

import logging
import math
import os
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

from rich.progress import track
from torch.utils.data import Sampler

from satclip import ranks
from satclip.data.sources.download import fetch
from satclip.data.sources.far_index import index_of
from satclip.data.sources.shards import Shards
from satclip.data.sources.web import THREADS
from satclip.files import clear_leftovers, locked

log = logging.getLogger(__name__)
DOWNLOADS = 4  # shards that are prefetched at a time


class CachedShards(Shards):
    """Shards at addresses, fetched to `folder` when they are needed, the least recently used removed again.

    The first process that needs a shard fetches it while the others wait, unless it was prefetched. Every node fetches
    every shard of an epoch, as each of its batches mixes many of them.

    Args:
        urls: where the shards are: http(s), s3, gs, az, or a `Command`.
        folder: the cache.
        gibibytes: how large it may grow.
        window: how many shards are mixed with each other; twice as many must fit.
        keys: what the content of each is known by; by default its address, and what the server tells of its version.
        renew: ask the servers whether a cached shard is stale.
    """

    def __init__(
        self,
        urls: Sequence[str],
        folder: Path,
        gibibytes: float,
        window: int = 1,
        *,
        keys: Sequence[str] | None = None,
        renew: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(folder)
        self.urls, self.folder, self.limit = list(urls), folder, int(gibibytes * 2**30)
        self.keys = list(urls if keys is None else keys)
        paths = [folder / local_name(url, key) for url, key in zip(urls, self.keys, strict=True)]
        known = [key == url for url, key in zip(urls, self.keys, strict=True)]
        with ThreadPoolExecutor(THREADS) as threads:
            work = threads.map(partial(index_of), urls, paths, [renew and plain for plain in known])
            quiet = ranks.rank() > 0
            found = list(track(work, "Indexing shards", total=len(paths), transient=True, disable=quiet))
        tables, self.marks = [table for table, _ in found], [mark for _, mark in found]
        super().__init__(paths, tables)
        self.ends = [table.end for table in tables]
        largest = sum(sorted(self.ends)[-2 * window :])
        if self.limit < largest:
            raise ValueError(
                f"dataset.cache_gib={gibibytes:g} cannot hold the shuffle window and the prefetched one; give "
                f"dataset.cache_gib={math.ceil(largest / 2**30)} or less than dataset.shuffle_window={window}"
            )
        self._wanted: queue.SimpleQueue[int] | None = None
        self._pending: set[int] = set()

    def state(self) -> str:
        """Changes when the shards do: their keys, what the servers tell of them, and their sizes."""
        return blake2b(repr((self.keys, self.marks, self.ends)).encode(), digest_size=16).hexdigest()

    def prefetch(self, rows: Sequence[int]) -> None:
        """Prefetch the shards of these rows in the background."""
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
            except (OSError, ValueError) as error:  # the process that needs the shard tries again and raises
                log.info("not prefetched: %s", error)
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
            for path in self.folder.glob("*.tar"):  # those of other addresses too: the limit is the folder's
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
    """Batches in their order, their shards prefetched `depth` batches ahead."""

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


def local_name(url: str, key: str | None = None) -> str:
    """A file name for a shard of that address: its own, made unique by what its content is known by."""
    last = "".join(
        letter if (letter.isascii() and letter.isalnum()) or letter in "-_." else "_" for letter in url.split("/")[-1]
    )
    digest = blake2b((key or url).encode(), digest_size=5).hexdigest()
    return f"{digest}-{last[-60:].removesuffix('.tar')}.tar"
