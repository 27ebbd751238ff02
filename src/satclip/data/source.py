"""Where patches come from: whatever lies in a root folder."""

import logging
from pathlib import Path
from typing import Protocol

from torch import Tensor

from satclip.data.folder import Folder
from satclip.data.shards import Shards

log = logging.getLogger(__name__)


class Source(Protocol):
    """Patches by row number.

    Attributes:
        names: file names, by row.
        lonlat: places that lie beside the patches, float64 [N, 2] in degrees, NaN where there are none.
        shard_sizes: how many rows lie together, in order; the unit of shuffling.
    """

    names: list[str]
    lonlat: Tensor
    shard_sizes: list[int]

    def read(self, row: int) -> bytes:
        """The GeoTIFF of one row."""


def open_source(root: Path) -> Source:
    """The shards in `root` or `root/data`, else the single files in `root/images`.

    Raises:
        FileNotFoundError: there are neither.
    """
    shards = sorted(root.glob("*.tar")) or sorted((root / "data").glob("*.tar"))
    if shards:
        return Shards(shards)
    if (root / "images").is_dir() and any((root / "images").glob("*.tif*")):
        return Folder(root / "images")
    raise FileNotFoundError(
        f"no *.tar and no images/*.tif in {root.absolute()}; `make data` fetches S2-100K to data/s2_100k, "
        "`dataset=s2_folder dataset.root=FOLDER` trains on your own images/*.tif with an index.csv, "
        "and `experiment=blue_marble` needs neither data nor network"
    )
