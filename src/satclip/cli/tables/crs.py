"""From any coordinate reference system to longitude, latitude in degrees."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from satclip.cli.failures import expected, need
from satclip.cli.tables.places import Degrees

if TYPE_CHECKING:
    import pyproj

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
    source = _parse(crs)
    import pyproj

    if source.is_geographic and source.to_2d().equals(pyproj.CRS.from_user_input(LONLAT), ignore_axis_order=True):
        return lambda xy: xy
    transformer = pyproj.Transformer.from_crs(source, LONLAT, always_xy=True)

    def transform(xy: Degrees) -> Degrees:
        degrees = np.stack(transformer.transform(xy[:, 0], xy[:, 1]), axis=-1)
        return np.where(np.isfinite(degrees), degrees, np.nan)

    return transform


def agreed(name: str, stated: Any, given: str | None) -> tuple[Any, str]:
    """The reference system of the file `name`, and who says so: what the file states, else what --crs gives.

    Raises:
        click.ClickException: --crs gives another one than the file states, or the file's own is invalid.
    """
    if stated is None:
        return given, f"--crs {given}"
    own = _parse(stated, prefix=f"{name}: its reference system: ", remedy="write a valid one into the file")
    authority = own.to_authority(min_confidence=70)
    title = f"{':'.join(authority)} ({own.name})" if authority else own.name
    if given is not None and not own.to_2d().equals(_parse(given).to_2d(), ignore_axis_order=True):
        raise click.ClickException(
            f"--crs {given}: {name} says that it is in {title}: leave --crs out, or mend the file if it is wrong"
        )
    return own, f"the file says {title}"


def _parse(crs: Any, *, prefix: str = "", remedy: str = "") -> "pyproj.CRS":
    need("cli", "pyproj")
    import pyproj

    prefix, remedy = prefix or f"--crs {crs}: ", remedy or "give a code such as EPSG:3857, or WKT"
    with expected(pyproj.exceptions.CRSError, prefix=prefix, remedy=remedy):
        return pyproj.CRS.from_user_input(crs)
