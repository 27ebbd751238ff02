"""From any coordinate reference system to longitude, latitude in degrees."""

from collections.abc import Callable
from typing import Any

import click
import numpy as np

from satclip.cli.failures import expected, need
from satclip.cli.tables.places import Degrees

LONLAT = "OGC:CRS84"


def to_lonlat(crs: Any) -> Callable[[Degrees], Degrees]:
    """A function from easting, northing in `crs` [n, 2] to degrees [n, 2]. `crs` is anything pyproj understands.

    Raises:
        click.ClickException: `crs` is None (the file does not say) or unknown to pyproj.
    """
    if crs is None:
        raise click.ClickException(
            "the file does not say in which coordinate reference system it is: give --crs, EPSG:4326 for degrees"
        )
    need("cli", "pyproj")
    import pyproj

    remedy = "give a code such as EPSG:3857, or WKT"
    with expected(pyproj.exceptions.CRSError, prefix=f"--crs {crs}: ", remedy=remedy):
        source = pyproj.CRS.from_user_input(crs)
    if source.is_geographic and source.to_2d().equals(pyproj.CRS.from_user_input(LONLAT), ignore_axis_order=True):
        return lambda xy: xy
    transformer = pyproj.Transformer.from_crs(source, LONLAT, always_xy=True)

    def transform(xy: Degrees) -> Degrees:
        degrees = np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=-1)
        return np.where(np.isfinite(degrees), degrees, np.nan)

    return transform
