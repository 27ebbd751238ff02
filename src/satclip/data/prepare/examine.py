"""One patch looked at closely: can it be used, where does it say it lies, what is in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.warp import transform

from satclip.data.geotiff.decode import LEAST_HELD, plainly, share_held
from satclip.data.geotiff.pixels import (
    BadPatchError,
    band_count,
    check_claims,
    check_scales,
    clear_invalid,
    read_pixels,
)

Figures = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """What was found in one patch.

    Attributes:
        cause: why it cannot be used (missing, unreadable, bands, dtype, size, scaled, empty), or None.
        detail: that in words.
        form: (bands, rows, columns, type).
        digest: of the pixels; patches of equal digest are duplicates.
        centre: longitude and latitude of its middle by its own georeference, degrees; None where it has none.
        reach_km: from its middle to its corners.
        halves_km: half of its width and height.
        figures: per band: pixels, sum, sum of squares, least, most, zeros, [bands, 6]; None where it cannot be used.
    """

    cause: str | None
    detail: str = ""
    form: tuple[int, int, int, str] | None = None
    digest: bytes = b""
    centre: tuple[float, float] | None = None
    reach_km: float = 0.0
    figures: Figures | None = None
    halves_km: tuple[float, float] = (0.0, 0.0)


@dataclass
class BandFigures:
    """Statistics of bands, added up patch by patch."""

    sums: Figures | None = None
    names: Sequence[str] = field(default_factory=list)

    def add(self, figures: Figures) -> None:
        """Take in another patch."""
        if self.sums is None:
            self.sums = figures.copy()
            return
        self.sums[:, [0, 1, 2, 5]] += figures[:, [0, 1, 2, 5]]
        self.sums[:, 3] = np.minimum(self.sums[:, 3], figures[:, 3])
        self.sums[:, 4] = np.maximum(self.sums[:, 4], figures[:, 4])

    def table(self) -> list[dict[str, float | str]]:
        """Mean, standard deviation, least, most and share of zeros of each band."""
        if self.sums is None:
            return []
        rows: list[dict[str, float | str]] = []
        for number, (count, total, squares, least, most, zeros) in enumerate(self.sums.tolist()):
            mean = total / count
            deviation = max(0.0, squares / count - mean**2) ** 0.5
            name = self.names[number] if len(self.names) == len(self.sums) else str(number + 1)
            figures = {"mean": mean, "std": deviation, "min": least, "max": most, "zeros": zeros / count}
            rows.append({"band": name, **figures})
        return rows


def examine(data: bytes, bands: int) -> Facts:
    """Look at a GeoTIFF that should hold so many bands."""
    if not data:
        return Facts("missing", "of no bytes")
    known = Facts(None)
    try:
        with MemoryFile(data) as file, file.open(driver="GTiff", sharing=False) as source:
            count = band_count(source, bands)
            form = (count, source.height, source.width, str(source.dtypes[0]))
            known = replace(_where(source), form=form)
            if count != bands:
                raise BadPatchError("bands", f"{count} bands, not {bands}")
            check_claims(bands, form[3], (source.height, source.width))
            check_scales(source, bands)
            pixels, nodata = read_pixels(source, bands, range(bands)), source.nodata
    except BadPatchError as error:
        return replace(known, cause=error.cause, detail=str(error))
    except (RasterioError, OSError, MemoryError) as error:
        return Facts("unreadable", plainly(error))
    clear_invalid(pixels, nodata)
    held = share_held(pixels, None)
    if held < LEAST_HELD:
        return replace(known, cause="empty", detail=f"{1 - held:.0%} of the pixels are zero or nodata")
    flat = pixels.reshape(len(pixels), -1).astype(np.float64)
    columns = (flat.sum(1), np.square(flat).sum(1), flat.min(1), flat.max(1), (flat == 0).sum(1))
    figures = np.stack((np.full(len(flat), float(flat.shape[1])), *columns), 1)
    digest = blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).digest()
    return replace(known, digest=digest, figures=figures)


def _where(source: Any) -> Facts:
    """The middle of an open dataset in longitude and latitude, and its reach; nothing where it does not say."""
    crs, place, width, height = source.crs, source.transform, source.width, source.height
    if crs is None:
        return Facts(None)
    x, y = place @ (width / 2, height / 2)
    try:
        (longitude,), (latitude,) = transform(crs, "EPSG:4326", [x], [y])
    except RasterioError:
        return Facts(None)
    unit = 1.0 if crs.is_projected else 111_195.0  # metres in a unit of the file
    reach = float(np.hypot(*(np.array(place @ (0, 0)) - (x, y)))) * unit / 1000
    across, down = np.hypot(place.a, place.d) * width, np.hypot(place.b, place.e) * height
    narrow = 1.0 if crs.is_projected else float(np.cos(np.radians(latitude)))
    halves = (float(across) * unit * narrow / 2000, float(down) * unit / 2000)
    return Facts(None, centre=(longitude, latitude), reach_km=reach, halves_km=halves)
