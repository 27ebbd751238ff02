"""Shards: tar files of patches, written by webdataset and read by byte offset.

Beside each `NAME.tar` lies `NAME.tar.index.json` with the name, place, offset and size of every patch in it, so that a
start reads no shard and a sample costs one read. It is rebuilt when it is missing, stale or impossible.
"""

import json
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
import webdataset
from torch import Tensor

from satclip.data.sources.names import stem
from satclip.data.sources.tar_index import INDEX_SUFFIX, Members, members_of, scan
from satclip.files import atomic_file

log = logging.getLogger(__name__)
TRAIN, VALIDATION = "train-", "validation-"  # how the names of shards begin where a split is stored
MOST_OPEN = 64  # files that a process keeps open


def write_shard(
    path: Path, samples: Iterable[tuple[str, bytes, float, float]], check: Callable[[Path], None] | None = None
) -> Members:
    """Write (patch name, GeoTIFF, longitude, latitude) samples into one tar, and its index beside it. Atomic.

    `check` looks at the tar before it gets its name; where it raises there is no tar.
    """
    with atomic_file(path) as part:
        with (
            part.open("wb") as file,
            webdataset.TarWriter(file, encoder=False, mtime=0, user="satclip", group="satclip") as writer,
        ):
            for name, patch, longitude, latitude in samples:
                place = json.dumps({"lon": longitude, "lat": latitude}).encode()
                writer.write({"__key__": stem(name), name.rpartition(".")[2]: patch, "json": place})
        if check is not None:
            check(part)
    return members(path)


def members(path: Path) -> Members:
    """The index of a shard: the one kept beside it where that fits the shard, else rebuilt and kept if possible.

    Raises:
        ValueError: the file is no tar, or is cut short.
    """
    beside = path.with_name(path.name + INDEX_SUFFIX)
    state = path.stat()
    stamp = {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    try:
        kept, of = members_of(beside.read_text(encoding="utf-8"))
        if of == stamp and kept.end <= state.st_size:
            return kept
        log.info("rebuilding stale index %s", beside)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        log.info("rebuilding unreadable index %s (%s)", beside, error)
    found = scan(path)
    try:
        with atomic_file(beside) as part:
            part.write_text(found.to_json(stamp), encoding="utf-8")
    except OSError as error:
        log.warning("cannot keep %s (%s); every start will read through the shard", beside, error)
    return found


def tars_in(root: Path) -> list[Path]:
    """The shards of a data set, in the order of their names: in its folder, else in `data` below it.

    The `._name` files that macOS writes beside each file on exFAT and SMB are none.
    """
    found = [sorted(path for path in folder.glob("*.tar") if path.name[:2] != "._") for folder in (root, root / "data")]
    return found[0] or found[1]


class _Opened:
    """A file descriptor, closed when its last user releases it."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if "descriptor" in self.__dict__:  # it is not where the constructor failed
            os.close(self.descriptor)


class Shards:
    """Patches in local tar files, read by offset; rows are counted shard by shard in the order of `paths`.

    Attributes:
        names: patch names, by row.
        lonlat: places that the shards themselves carry, float64 [N, 2] in degrees, NaN where they carry none.
        shard_sizes: patches in each shard.
        shard_of: number of the shard, by row.
        held_out: whether that shard is one for validation, bool [N].
    """

    index: Path | None = None

    def __init__(self, paths: Sequence[Path], tables: Sequence[Members] | None = None) -> None:
        self._open: dict[int, _Opened] = {}
        tables = [members(path) for path in paths] if tables is None else tables
        self.paths = list(paths)
        self.names = [name for table in tables for name in table.names]
        self.shard_sizes = [len(table.names) for table in tables]
        places = [
            (np.nan if lon is None else lon, np.nan if lat is None else lat)
            for table in tables
            for lon, lat in zip(table.longitudes, table.latitudes, strict=True)
        ]
        self.lonlat: Tensor = torch.tensor(places, dtype=torch.float64).reshape(-1, 2)
        self.shard_of = np.repeat(np.arange(len(self.paths)), self.shard_sizes)
        held_out = torch.tensor([VALIDATION in path.name for path in self.paths], dtype=torch.bool)
        self.held_out = held_out[torch.from_numpy(self.shard_of)]
        self._offsets = np.array([offset for table in tables for offset in table.offsets], dtype=np.int64)
        self._sizes = np.array([size for table in tables for size in table.sizes], dtype=np.int64)

    def read(self, row: int) -> bytes:
        """The GeoTIFF of one patch. Safe after a fork, as it moves no file position, and in many threads at a time."""
        shard = int(self.shard_of[row])
        file = self._open.get(shard)
        if file is None:
            # Another thread may be reading from what is dropped here: the last one that holds it closes it.
            for oldest in list(self._open)[: len(self._open) + 1 - MOST_OPEN]:
                self._open.pop(oldest, None)
            file = self._open[shard] = _Opened(self._at_hand(shard))
        return os.pread(file.descriptor, int(self._sizes[row]), int(self._offsets[row]))

    def _at_hand(self, shard: int) -> Path:
        """The file of a shard."""
        return self.paths[shard]

    def state(self) -> str:
        """Changes when the files do: sizes and times of the shards."""
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        return blake2b(repr(stamps).encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        """Close the files."""
        self._open.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}
