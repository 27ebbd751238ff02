"""Shards: tar files of patches, written by webdataset and read by byte offset.

Beside each `NAME.tar` lies `NAME.tar.index.json` with the name, place, offset and size of every patch in it, so that a
start reads no shard and a sample costs one read. It is made when it is missing or does not fit the shard.
"""

import json
import logging
import os
import tarfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import torch
import webdataset
from torch import Tensor

from satclip.data.atomic import atomic_file

log = logging.getLogger(__name__)
INDEX_SUFFIX = ".index.json"
PATCH_SUFFIXES = (".tif", ".tiff")
TRAIN, VALIDATION = "train-", "validation-"  # how the names of shards begin where a split is stored
MOST_OPEN = 64  # files that a process keeps open


@dataclass(frozen=True)
class Members:
    """The patches of one shard: names without folder, byte offsets and sizes, places in degrees (NaN where unknown)."""

    names: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    longitudes: list[float | None] = field(default_factory=list)
    latitudes: list[float | None] = field(default_factory=list)


def write_shard(path: Path, samples: Iterable[tuple[str, bytes, float, float]]) -> Members:
    """Write (file name, GeoTIFF, longitude, latitude) samples into one tar, and its index beside it. Atomic."""
    with (
        atomic_file(path) as part,
        part.open("wb") as file,
        webdataset.TarWriter(file, encoder=False, mtime=0, user="satclip", group="satclip") as writer,
    ):
        for name, patch, longitude, latitude in samples:
            place = json.dumps({"lon": longitude, "lat": latitude}).encode()
            writer.write({"__key__": PurePosixPath(name).stem, "tif": patch, "json": place})
    return members(path)


def members(path: Path) -> Members:
    """The index of a shard: the one kept beside it where that fits the shard, else made now and kept if possible.

    Raises:
        ValueError: the file is no tar, or is cut short.
    """
    beside = path.with_name(path.name + INDEX_SUFFIX)
    state = path.stat()
    stamp = {"bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    try:
        kept = json.loads(beside.read_text())
        if kept["shard"] == stamp:
            return Members(**kept["members"])
        log.info("%s does not fit its shard any more: made again", beside)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.info("%s cannot be used (%s): made again", beside, error)
    found = scan(path)
    try:
        with atomic_file(beside) as part:
            part.write_text(json.dumps({"shard": stamp, "members": asdict(found)}))
    except OSError as error:
        log.warning("cannot keep %s (%s); every start will read through the shard", beside, error)
    return found


def scan(path: Path) -> Members:
    """Read the names, offsets and places out of a tar.

    Raises:
        ValueError: the file is no tar, or is cut short.
    """
    with path.open("rb") as file:
        found, end = scan_stream(file, str(path))
    if path.stat().st_size < max(end, 1024):
        raise ValueError(f"{path} is cut short ({path.stat().st_size} bytes); fetch or write it again")
    return found


def scan_stream(file: IO[bytes], name: str) -> tuple[Members, int]:
    """The same out of anything that can be read and sought in; also how many bytes the members take.

    Raises:
        ValueError: it is no tar, or is cut short.
    """
    found, places = Members(), {}
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                inside = PurePosixPath(member.name)
                if member.isfile() and inside.suffix in PATCH_SUFFIXES:
                    found.names.append(inside.name)
                    found.offsets.append(member.offset_data)
                    found.sizes.append(member.size)
                elif member.isfile() and inside.suffix == ".json" and (text := tar.extractfile(member)) is not None:
                    places[inside.stem] = json.loads(text.read())
            end = tar.offset
    except (tarfile.TarError, ValueError) as error:
        raise ValueError(f"{name} is not a readable tar: {error}; fetch or write it again") from None
    for patch in found.names:
        place = places.get(PurePosixPath(patch).stem, {})
        found.longitudes.append(place.get("lon"))
        found.latitudes.append(place.get("lat"))
    return found, end


class _Opened:
    """A file descriptor, closed when nobody holds it any more."""

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

    def close(self) -> None:
        """Close the files."""
        self._open.clear()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": {}}
