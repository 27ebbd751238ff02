"""Small data sets whose patches say which they are: patch number n is filled with n + 1."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from satclip.data.index import write_index
from satclip.data.shards import write_shard
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
