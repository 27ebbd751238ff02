"""How much ground a patch shows."""

import warnings
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import transform

from satclip.data.split.buffer import frames, offsets_km
from satclip.sphere import great_circle_km, unit_vectors

KILOMETRES_PER_PIXEL = 0.01  # Sentinel-2's


def footprint_km(patches: Iterable[tuple[bytes, Sequence[float]]]) -> float | None:
    """Side of the square, north up, that holds each of some patches: GeoTIFFs and their places (degrees) -> kilometres.

    Measured about the place, by the corners that the georeference gives; about the middle of the patch where the place
    lies outside it. None where no patch has a georeference.
    """
    sides = [side for data, place in patches if (side := _side_km(data, place)) is not None]
    return max(sides, default=None)


def _side_km(data: bytes, place: Sequence[float]) -> float | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with MemoryFile(data) as file, file.open(driver="GTiff", sharing=False) as source:
                crs, grid, width, height = source.crs, source.transform, source.width, source.height
        if crs is None:
            return None
        pixels = [(0, 0), (width, 0), (0, height), (width, height), (width / 2, height / 2)]
        x, y = zip(*(grid @ pixel for pixel in pixels), strict=True)
        lonlat = torch.tensor(transform(crs, "EPSG:4326", list(x), list(y)), dtype=torch.float64).T
    except (RasterioError, OSError, ValueError):
        return None
    if not lonlat.isfinite().all():
        return None
    corners, middle = lonlat[:4], lonlat[4]
    about = torch.tensor(place, dtype=torch.float64)
    if great_circle_km(about, middle) > great_circle_km(corners, middle.expand(4, 2)).max():
        about = middle
    return float(2 * np.abs(offsets_km(frames(about.expand(4, 2)), unit_vectors(corners).numpy())).max())
