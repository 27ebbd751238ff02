"""Where patches come from: local shards, a folder of files, shards elsewhere, or the hub."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from webdataset.shardlists import expand_urls

from satclip.data.sources.cached_shards import CachedShards
from satclip.data.sources.download import PIPE, Command, can_be_asked
from satclip.data.sources.far_index import fetched_copy
from satclip.data.sources.folder import Folder, has_patches
from satclip.data.sources.huggingface import hub_shards
from satclip.data.sources.index_csv import INDEX, Index, read_index
from satclip.data.sources.protocol import Source
from satclip.data.sources.shards import Shards, tars_in

log = logging.getLogger(__name__)
CACHE = "cache"


@dataclass(frozen=True)
class Streamed:
    """Shards that are read from front to back and never kept, and the index of what they hold."""

    urls: list[str]
    index: Index


@dataclass(frozen=True)
class DataLocation:
    """Where to look for patches, in this order: `urls`, shards or images in `root`, the hub.

    Attributes:
        root: local folder of the data set; what is fetched goes to `root/cache`.
        urls: one or several brace patterns of files, http(s), s3, gs, az or `pipe:` addresses of shards.
        hub: a data set on the Hugging Face hub.
        cache_gib: how large the cache may grow.
        window: shards that are mixed with each other.
    """

    root: Path
    urls: Sequence[str] = ()
    hub: str | None = None
    cache_gib: float = 0.0
    window: int = 1

    def find(self, *, renew: bool = True) -> "Source | Streamed":
        """The patches; `renew` asks whether what was kept of shards elsewhere is still what they are.

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
            return Shards(paths) if len(paths) == len(addresses) else self._remote(addresses, addresses, renew)
        shards = tars_in(self.root)
        if shards:
            return Shards(shards)
        if has_patches(self.root / "images"):
            return Folder(self.root / "images")
        reason = ""
        if self.hub is not None:
            try:
                listed = hub_shards(self.hub, self.root / CACHE / "hub.json", renew=renew)
                return self._remote(listed.urls, listed.keys, renew)
            except OSError as error:
                reason = f", and {error}"
        raise FileNotFoundError(
            f"no *.tar and no images/*.tif in {self.root.absolute()}{reason}; `make data` fetches S2-100K to "
            "data/s2_100k, `dataset=s2_folder dataset.root=FOLDER` trains on your own images/*.tif with an index.csv, "
            "and `experiment=blue_marble` needs neither data nor network"
        )

    def _remote(self, addresses: Sequence[str], keys: Sequence[str], renew: bool) -> "Source | Streamed":
        """Shards that are fetched as they are needed, and their index.csv where they need one."""
        if self.cache_gib == 0:
            index = self._index(addresses[0], renew)
            if index is None:
                raise FileNotFoundError(
                    f"a stream needs {self.root / INDEX} (lat, lon, fn) to know which patches there are; put it there, "
                    "or give dataset.cache_gib=50 or more"
                )
            return Streamed(list(addresses), read_index(index))
        source = CachedShards(addresses, self.root / CACHE, self.cache_gib, self.window, keys=keys, renew=renew)
        if source.lonlat.isnan().any():
            source.index = self._index(addresses[0], renew)
        return source

    def _index(self, address: str, renew: bool) -> Path | None:
        """The index.csv of the folder, else that beside the shards or in the folder above them, fetched."""
        if (self.root / INDEX).exists():
            return self.root / INDEX
        if not can_be_asked(address):
            return None
        folder = address.rsplit("/", 1)[0]
        for above in (folder, folder.rsplit("/", 1)[0]):
            with suppress(FileNotFoundError):
                return fetched_copy(f"{above}/{INDEX}", self.root / CACHE, renew=renew)
        return None


def expanded(urls: Sequence[str]) -> list[str]:
    """Every address that a person's brace patterns stand for; a `pipe:` command is taken as it is but for its braces.

    Raises:
        ValueError: they stand for nothing.
    """
    given = [address for pattern in urls for address in expand_urls(pattern)]
    addresses = [Command(address) if address.startswith(PIPE) else address for address in given]
    if not addresses:
        raise ValueError("dataset.urls names no shards")
    return addresses


def is_local(address: str) -> bool:
    """Whether it is a path."""
    return address.startswith("file:") or not (isinstance(address, Command) or "://" in address)
