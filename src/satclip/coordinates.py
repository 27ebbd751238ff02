"""Places from whatever people keep them in: arrays, lists, data frames."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.columns import find_lonlat

WANTED = (
    "give an array or a list [N, 2] of degrees, longitude first, a data frame with columns such as lon and lat, or one "
    "place (longitude, latitude)"
)
_WGS84 = "EPSG:4326"


def coordinates(places: Any) -> tuple[Tensor, bool]:
    """Degrees of `places`, longitude first, float64 [N, 2] on the CPU, and whether it was one place alone.

    Args:
        places: a tensor, an array or a list [N, 2]; one place (longitude, latitude); a data frame or a mapping of
            columns, found by their names as `satclip embed` finds them; a GeoDataFrame or GeoSeries of points, which
            are turned into degrees.

    Raises:
        TypeError: these are no numbers, or numbers of half the width, which move a place by up to half a degree.
        ValueError: another shape, missing values under a mask, no such columns, points without a reference system.
    """
    if hasattr(places, "geom_type"):
        return torch.from_numpy(_points(places)), False
    names = _column_names(places)
    if names is not None:
        pair = find_lonlat(names)
        longitude, latitude = (_numbers(places[name], f"column {name}") for name in pair)
        if longitude.ndim != 1 or longitude.shape != latitude.shape:
            raise ValueError(f"columns of shapes {list(longitude.shape)} and {list(latitude.shape)}; {WANTED}")
        return torch.from_numpy(np.stack((longitude, latitude), axis=1)), False
    degrees = _numbers(places, type(places).__name__)
    if degrees.shape == (0,):
        degrees = degrees.reshape(0, 2)
    if degrees.shape[-1:] != (2,) or degrees.ndim > 2:
        turned = "; these are its columns: give it transposed" if degrees.ndim == 2 and len(degrees) == 2 else ""
        raise ValueError(f"places of shape {list(degrees.shape)}{turned}; {WANTED}")
    return torch.from_numpy(degrees.reshape(-1, 2)), degrees.ndim == 1


def _column_names(places: Any) -> list[str] | None:
    """Of a data frame (pandas, polars), a table (pyarrow) or a mapping; None for anything else."""
    if isinstance(places, Mapping):
        return list(places)
    for attribute in ("column_names", "columns"):
        if hasattr(places, attribute):
            return list(getattr(places, attribute))
    return None


def _points(shapes: Any) -> NDArray[np.float64]:
    """Points of geopandas, in degrees: [N, 2]."""
    points = shapes.geometry
    if points.crs is None:
        raise ValueError(f"the points have no reference system: say which with .set_crs, {_WGS84} for degrees")
    kinds = set(points.geom_type.dropna())
    if kinds - {"Point"}:
        raise ValueError(f"geometries must be points, there is a {min(kinds - {'Point'})}: take .centroid")
    points = points.to_crs(_WGS84)
    return np.stack([np.asarray(axis, dtype=np.float64) for axis in (points.x, points.y)], axis=1)


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    if isinstance(values, Tensor):
        if values.layout != torch.strided or values.dtype == torch.bfloat16 or values.is_meta:
            raise TypeError(f"{name} is {values.layout} of {values.dtype} on {values.device}; {WANTED}")
        values = values.detach().cpu()
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has values under a mask: leave those places out")
    try:
        found = np.asarray(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers ({error}); {WANTED}") from error
    if found.dtype.kind not in "fiu" or found.dtype == np.float16:
        raise TypeError(f"{name} holds {found.dtype}, not degrees in float64 or float32; {WANTED}")
    return np.array(found, dtype=np.float64)
