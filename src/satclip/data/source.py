"""Where patches come from: local shards, a folder of files, shards elsewhere, or the hub."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor
from webdataset.shardlists import expand_urls

from satclip.data.folder import Folder
from satclip.data.hub import hub_shards
from satclip.data.index import INDEX, Index, read_index
from satclip.data.remote import CachedShards
from satclip.data.shards import Shards
from satclip.data.transport import fetch, is_http

log = logging.getLogger(__name__)
CACHE = "cache"


class Source(Protocol):
    """Patches by row number.

    Attributes:
        names: file names, by row.
        lonlat: places that lie beside the patches, float64 [N, 2] in degrees, NaN where there are none.
        shard_sizes: how many rows lie together, in order; the unit of shuffling.
        held_out: rows that were put aside for validation when the shards were written, bool [N].
    """

    held_out: Tensor
    names: list[str]
    lonlat: Tensor
    shard_sizes: list[int]

    def read(self, row: int) -> bytes:
        """The GeoTIFF of one row."""


@dataclass(frozen=True)
class Streamed:
    """Shards that are read from front to back and never kept, and the index of what they hold."""

    urls: list[str]
    index: Index


@dataclass(frozen=True)
class Whereabouts:
    """Where to look for patches, in this order: `urls`, shards or images in `root`, the hub.

    Attributes:
        root: local folder of the data set; what is fetched goes to `root/cache`.
        urls: one or several brace patterns of files, http(s), s3 or `pipe:` addresses of shards.
        hub: a data set on the Hugging Face hub.
        cache_gib: how large the cache may grow.
        window: shards that are mixed with each other.
    """

    root: Path
    urls: Sequence[str] = ()
    hub: str | None = None
    cache_gib: float = 0.0
    window: int = 1

    def find(self) -> "Source | Streamed":
        """The patches.

        Raises:
            FileNotFoundError: there are none anywhere.
            OSError: the addresses do not answer.
        """
        if self.urls:
            addresses = expanded(self.urls)
            paths = [Path(address.removeprefix("file:")) for address in addresses if is_local(address)]
            missing = [str(path) for path in paths if not path.exists()]
            if missing:
                raise FileNotFoundError(f"no {', '.join(missing[:10])}; check dataset.urls")
            return Shards(paths) if len(paths) == len(addresses) else self._remote(addresses)
        shards = sorted(self.root.glob("*.tar")) or sorted((self.root / "data").glob("*.tar"))
        if shards:
            return Shards(shards)
        if (self.root / "images").is_dir() and any((self.root / "images").glob("*.tif*")):
            return Folder(self.root / "images")
        reason = ""
        if self.hub is not None:
            try:
                return self._remote(hub_shards(self.hub, self.root / CACHE / "hub.json"))
            except OSError as error:
                reason = f", and {error}"
        raise FileNotFoundError(
            f"no *.tar and no images/*.tif in {self.root.absolute()}{reason}; `make data` fetches S2-100K to "
            "data/s2_100k, `dataset=s2_folder dataset.root=FOLDER` trains on your own images/*.tif with an index.csv, "
            "and `experiment=blue_marble` needs neither data nor network"
        )

    def _remote(self, addresses: Sequence[str]) -> "Source | Streamed":
        """Shards that are fetched as they are needed, and their index.csv where they need one."""
        if self.cache_gib == 0:
            self._fetch_index(addresses[0])
            if not (self.root / INDEX).exists():
                raise FileNotFoundError(
                    f"a stream needs {self.root / INDEX} (lat, lon, fn) to know which patches there are; put it there, "
                    "or give dataset.cache_gib=50 or more"
                )
            return Streamed(list(addresses), read_index(self.root / INDEX))
        source = CachedShards(addresses, self.root / CACHE, self.cache_gib, self.window)
        if source.lonlat.isnan().any():
            self._fetch_index(addresses[0])
        return source

    def _fetch_index(self, address: str) -> None:
        """Fetch the index.csv beside the shards or in the folder above, if there is one."""
        folder = address.rsplit("/", 1)[0]
        for above in (folder, folder.rsplit("/", 1)[0]):
            if is_http(address) and not (self.root / INDEX).exists():
                with suppress(FileNotFoundError):
                    fetch(f"{above}/{INDEX}", self.root / INDEX)


def expanded(urls: Sequence[str]) -> list[str]:
    """Every address that the brace patterns stand for; a `pipe:` command is taken as it is unless it has braces.

    Raises:
        ValueError: they stand for nothing.
    """
    addresses = [address for pattern in urls for address in expand_urls(pattern)]
    if not addresses:
        raise ValueError("dataset.urls names no shards")
    return addresses


def is_local(address: str) -> bool:
    """Whether it is a path."""
    return address.startswith("file:") or not (address.startswith("pipe:") or "://" in address)
