"""A patch about a place out of the files of one scene, in UTM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform

from satclip.data.geotiff.decode import LEAST_HELD, plainly, share_held
from satclip.data.prepare.sampling.catalogue import Catalogue, Patience
from satclip.data.prepare.sampling.sensor import Sensor
from satclip.data.prepare.sampling.trouble import SceneError

LEVEL = 9  # of ZSTD: patches wait here to be written into shards


@dataclass(frozen=True)
class Grid:
    """Where the pixels of a patch lie."""

    crs: CRS
    transform: Affine
    size: int

    @classmethod
    def about(cls, place: tuple[float, float], scene: Any, resolution: float, size: int) -> "Grid":
        """Pixels about a place, on those of the scene where that is in UTM: none is resampled for nothing.

        The middle is then at most half a pixel from the place, along either axis.
        """
        own = scene.crs is not None and pyproj.CRS.from_user_input(scene.crs.to_wkt()).utm_zone is not None
        crs = scene.crs if own else CRS.from_epsg(utm_zone(*place))
        (x,), (y,) = transform("EPSG:4326", crs, [place[0]], [place[1]])
        left, top = x - size / 2 * resolution, y + size / 2 * resolution
        if own:
            x0, y0 = scene.transform.c, scene.transform.f
            left, top = (z0 + round((z - z0) / resolution) * resolution for z, z0 in ((left, x0), (top, y0)))
        return cls(crs, Affine(resolution, 0, left, 0, -resolution, top), size)


def utm_zone(longitude: float, latitude: float) -> int:
    """EPSG code of the zone of a place; the exceptions of Norway and Svalbard are left aside, as grids leave them."""
    zone = int((longitude + 180) // 6) % 60 + 1
    return (32600 if latitude >= 0 else 32700) + zone


def gdal(patience: Patience) -> rasterio.Env:
    """GDAL for reading files far away, by the thread that enters it.

    What it has learned of a file is forgotten when that is closed: a failure would else be remembered.
    """
    return rasterio.Env(
        GDAL_HTTP_MAX_RETRY=patience.times, GDAL_HTTP_RETRY_DELAY=patience.wait,
        GDAL_HTTP_RETRY_CODES="429,500,502,503,504", GDAL_HTTP_TIMEOUT=patience.timeout,
        CPL_VSIL_CURL_NON_CACHED="/vsicurl/:/vsis3/", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO",
    )  # fmt: skip


def read_patch(
    scene: Mapping[str, Any],
    place: tuple[float, float],
    sensor: Sensor,
    size: int,
    catalogue: Catalogue,
    max_nodata: float,
) -> tuple[bytes, float]:
    """The GeoTIFF of a scene about a place, and the largest share of nodata of its bands.

    Raises:
        SceneError: the scene lacks a band or the ground, or a file is damaged or of another kind.
        UnreachableError: a server does not answer.
    """
    grid: Grid | None = None
    raw, missing, worst = [], [], 0.0
    for band in sensor.bands:
        found = sensor.asset(band, scene["assets"])
        if found is None:
            raise SceneError("band missing", f"{scene['id']} has no {' or '.join(sensor.bands[band])}")
        grid, pixels, hidden = _band(catalogue, *found, grid, place, sensor, size)
        worst = max(worst, float(hidden.mean()))
        if worst > max_nodata:  # most often the first band already says so, and the others need not be read
            raise SceneError("nodata", f"{scene['id']}: {worst:.0%} of {band}")
        raw.append(pixels)
        missing.append(hidden)
    assert grid is not None
    try:
        stored = sensor.stored(np.stack(raw), np.stack(missing), scene["properties"])
    except ValueError as error:
        raise SceneError("offset unknown", f"{scene['id']}: {error}") from None
    if share_held(stored, None) < LEAST_HELD:
        raise SceneError("nodata", f"{scene['id']}: next to all pixels are zero")
    return _encoded(stored, grid, None if sensor.nodata is None else 0), worst


def _band(
    catalogue: Catalogue,
    address: str,
    number: int,
    grid: Grid | None,
    place: tuple[float, float],
    sensor: Sensor,
    size: int,
) -> tuple[Grid, NDArray[Any], NDArray[np.bool_]]:
    """Grid, raw pixels and where there are none. A file that fails twice while its server is well is damaged."""
    failed: Exception | None = None
    for _ in range(2):
        signed = catalogue.sign(address)
        try:
            with rasterio.open(signed, sharing=False) as file:
                if not 1 <= number <= file.count:
                    raise SceneError("band missing", f"{address} has {file.count} bands, not {number}")
                if file.crs is None:
                    raise SceneError("no reference system", address)
                grid = grid or Grid.about(place, file, sensor.resolution, size)
                return grid, *_warped(file, number, grid, sensor)
        except (RasterioError, OSError) as error:
            failed = error
            catalogue.make_sure_of(signed)
    raise SceneError("file damaged", f"{address}: {plainly(failed) if failed else ''}")


def _warped(file: Any, number: int, grid: Grid, sensor: Sensor) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """One band on the grid. On the scene's own pixels the warp copies them."""
    nothing = sensor.nodata if sensor.nodata is not None else file.nodata
    alpha = nothing is None and ColorInterp.alpha not in file.colorinterp
    with WarpedVRT(
        file, crs=grid.crs, transform=grid.transform, width=grid.size, height=grid.size, add_alpha=alpha,
        src_nodata=nothing, nodata=nothing, resampling=Resampling[sensor.resampling],
    ) as warped:  # fmt: skip
        if ColorInterp.alpha in warped.colorinterp:  # a mask that rasterio makes of it leaves out what lies beyond
            hidden = warped.read(warped.colorinterp.index(ColorInterp.alpha) + 1) == 0
            return warped.read(number), hidden
        found = warped.read(number, masked=True)
    return found.data, np.ma.getmaskarray(found)


def _encoded(pixels: NDArray[np.generic], grid: Grid, nodata: float | None) -> bytes:
    with MemoryFile() as file:
        with file.open(
            driver="GTiff", width=grid.size, height=grid.size, count=len(pixels), dtype=str(pixels.dtype),
            crs=grid.crs, transform=grid.transform, nodata=nodata, interleave="band", blockysize=grid.size,
            compress="zstd", zstd_level=LEVEL, predictor=2, photometric="minisblack",
        ) as target:  # fmt: skip
            target.write(pixels)
        return bytes(file.read())
