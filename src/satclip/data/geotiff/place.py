"""Where a GeoTIFF says that it lies."""

import warnings
from pathlib import Path

import rasterio
import torch
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import transform
from torch import Tensor


def centre(patch: Path) -> Tensor | None:
    """The place of its middle, degrees, float64 [2]; None where it has no reference system."""
    try:
        with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning), rasterio.open(patch) as file:
            if file.crs is None:
                return None
            left, bottom, right, top = file.bounds
            longitude, latitude = transform(file.crs, "EPSG:4326", [(left + right) / 2], [(bottom + top) / 2])
    except RasterioError:
        return None
    return torch.tensor([longitude[0], latitude[0]], dtype=torch.float64)
