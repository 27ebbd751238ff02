"""A folder of GeoTIFFs: `images/*.tif` beside an `index.csv`, as S2-100K unpacks."""

import logging
import os
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

import torch
from torch import Tensor

from satclip.data.sources.names import is_patch, patch_name

log = logging.getLogger(__name__)
SHARD = 1000  # patches that are shuffled as if they were one shard
MASK = ".msk"  # GDAL's masks beside a file


class Folder:
    """Patches as single files, in the folder or below it, in the order of their names.

    Attributes:
        names: of the patches, by row; see `patch_name`.
        lonlat: nothing but NaN, float64 [N, 2]: single files carry no place beside them.
        shard_sizes: the files in groups of at most 1,000.
        held_out: nothing but False, bool [N].
    """

    index: Path | None = None

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = sorted((patch_name(path), path) for path in files_below(folder) if is_patch(path))
        broken = [path for name, path in paths if not _encodes(name)]
        if broken:
            raise ValueError(
                f"{len(broken)} patches in {folder} have names that are not UTF-8: {broken[0]!r}; rename them"
            )
        if any(path.endswith(MASK) for path in files_below(folder)):
            log.warning("%s: masks beside the patches (*.msk) are not read; write them into the files", folder)
        self.names, self._paths = [name for name, _ in paths], [path for _, path in paths]
        self.lonlat: Tensor = torch.full((len(self.names), 2), torch.nan, dtype=torch.float64)
        self.held_out = torch.zeros(len(self.names), dtype=torch.bool)
        self.shard_sizes = [min(SHARD, len(self.names) - first) for first in range(0, len(self.names), SHARD)]

    def read(self, row: int) -> bytes:
        """The bytes of one file; none where it has vanished."""
        try:
            return (self.folder / self._paths[row]).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return b""

    def state(self) -> str:
        """Changes when the files do: their sizes and times."""
        stamps = []
        for path in self._paths:
            found = (self.folder / path).stat()
            stamps.append((path, found.st_size, found.st_mtime_ns))
        return blake2b(repr(stamps).encode(), digest_size=16).hexdigest()


def files_below(folder: Path) -> Iterator[str]:
    """Every file in a folder and below it, as a path from there with "/"."""
    for where, _, names in os.walk(folder):
        below = Path(where).relative_to(folder).as_posix()
        yield from (name if below == "." else f"{below}/{name}" for name in names)


def has_patches(folder: Path) -> bool:
    """Whether there is at least one patch in a folder or below it."""
    return any(is_patch(path) for path in files_below(folder))


def _encodes(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
