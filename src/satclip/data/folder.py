"""A folder of GeoTIFFs: `images/*.tif` beside an `index.csv`, as S2-100K unpacks."""

from pathlib import Path

import torch
from torch import Tensor

SHARD = 1000  # patches that are shuffled as if they were one shard


class Folder:
    """Patches as single files, in the order of their names.

    Attributes:
        names: file names, by row.
        lonlat: nothing but NaN, float64 [N, 2]: single files carry no place beside them.
        shard_sizes: the files in groups of at most 1,000.
        held_out: nothing but False, bool [N].
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = sorted(path.name for path in folder.iterdir() if path.suffix in (".tif", ".tiff"))
        self.lonlat: Tensor = torch.full((len(self.names), 2), torch.nan, dtype=torch.float64)
        self.held_out = torch.zeros(len(self.names), dtype=torch.bool)
        self.shard_sizes = [min(SHARD, len(self.names) - first) for first in range(0, len(self.names), SHARD)]

    def read(self, row: int) -> bytes:
        """The bytes of one file; none where it has vanished."""
        try:
            return (self.folder / self.names[row]).read_bytes()
        except FileNotFoundError:
            return b""
