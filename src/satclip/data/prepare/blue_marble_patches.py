"""Cutting patches of NASA's Blue Marble out of the picture of the whole globe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from satclip.data.geotiff.bands import RGB
from satclip.sphere import EARTH_RADIUS_KM

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Recipe:
    """What determines the data set, bit for bit.

    Attributes:
        places: patches to cut.
        patch_size: pixels of a patch.
        kilometres_per_pixel: ground that a pixel of scale 1 covers.
        version: of the code that cuts.
        scales: times that ground, ascending: each has three bands in every patch, about the same centre.
    """

    places: int
    patch_size: int
    kilometres_per_pixel: float
    version: int = 1
    scales: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if not self.scales or self.scales[0] < 1 or sorted(set(self.scales)) != list(self.scales):
            raise ValueError(f"dataset.scales are whole numbers from 1, ascending, got {list(self.scales)}")
        if self.places < 1 or self.patch_size < 8 or not 0 < self.widest * self.patch_size <= 10_000:
            raise ValueError(f"a patch needs 8 pixels at least and 10,000 km at most, and one place, got {self}")

    @property
    def widest(self) -> float:
        """Kilometres of ground that a pixel of the widest scale covers."""
        return self.kilometres_per_pixel * self.scales[-1]

    @property
    def bands(self) -> tuple[str, ...]:
        """R, G, B of scale 1, R8, G8, B8 of scale 8."""
        return tuple(f"{band}{scale if scale > 1 else ''}" for scale in self.scales for band in RGB)


def pyramid(picture: Pixels, scales: Sequence[int]) -> list[Pixels]:
    """The picture for each scale: means over squares of half as many pixels a side as the scale, so that none is lost.

    A coarse patch samples one point a pixel. What lies between its points is in the means.
    """
    height, width = picture.shape[:2]
    image = Image.fromarray(picture)
    sides = (max(1, scale // 2) for scale in scales)
    return [
        picture if side == 1 else np.asarray(image.resize((width // side, height // side), Image.Resampling.BOX))
        for side in sides
    ]


def cut_scales(pictures: Sequence[Pixels], lonlat: NDArray[np.float64], recipe: Recipe) -> Pixels:
    """Patches of all scales around places, [B, 2] -> [B, P, P, 3 x scales], each from its picture in `pyramid`."""
    finest = recipe.kilometres_per_pixel
    patches = [
        cut(picture, lonlat, replace(recipe, kilometres_per_pixel=finest * scale, scales=(1,)))
        for picture, scale in zip(pictures, recipe.scales, strict=True)
    ]
    return patches[0] if len(patches) == 1 else np.concatenate(patches, -1)


def cut(picture: Pixels, lonlat: NDArray[np.float64], recipe: Recipe) -> Pixels:
    """Patches of scale 1 around places, [B, 2] -> [B, P, P, 3], north up at the centre, sampled between pixels.

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
