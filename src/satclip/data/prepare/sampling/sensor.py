"""What a sensor is: a collection, its bands, its pixels and what their values mean. One yaml file each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rasterio.enums import Resampling

REFLECTANCE = 10_000  # stored values are reflectance times this, as in S2-100K


@dataclass(frozen=True)
class Shift:
    """An offset that some scenes have and others have not.

    Attributes:
        value: added to the raw values after scaling, like `Sensor.offset`.
        key: property of the scene that tells.
        least: it is there from this value on, compared as a number.
        unless: a property that is true where the catalogue has taken the offset out already.
    """

    value: float
    key: str
    least: float
    unless: str = ""

    def of(self, properties: Mapping[str, Any]) -> float:
        """The offset of a scene.

        Raises:
            ValueError: the scene does not say whether it has one.
        """
        if self.unless and properties.get(self.unless) is True:
            return 0.0
        try:
            return self.value if float(properties[self.key]) >= self.least else 0.0
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"no number in its property {self.key}, which tells the offset of its values") from None


@dataclass(frozen=True)
class Sensor:
    """How patches are read from the scenes of one collection.

    Attributes:
        name: of the file it came from.
        collection: its id in the catalogue.
        resolution: of a patch's pixels, metres.
        bands: by name in the patches, the asset that holds each: several where catalogues name it differently, and
            ASSET:NUMBER where an asset holds several bands.
        nodata: raw value that means nothing; None where files have no such value.
        scale: raw values times this plus `offset` are reflectance, stored times 10,000 as uint16; None stores raw ones.
        offset: see `scale`.
        shift: an offset that only some scenes have.
        cloud: property with the percentage of cloud; empty where there is none.
        where: properties and the values of them that are taken, as platform: [landsat-8].
        latitudes: south and north of what it regularly takes, degrees; bounds the default area.
        resampling: of bands with other pixels, a name of rasterio's.
    """

    name: str
    collection: str
    resolution: float
    bands: Mapping[str, Sequence[str]]
    nodata: float | None = None
    scale: float | None = None
    offset: float = 0.0
    shift: Shift | None = None
    cloud: str = ""
    where: Mapping[str, Sequence[Any]] | None = None
    latitudes: tuple[float, float] = (-90.0, 90.0)
    resampling: str = "nearest"

    def asset(self, band: str, assets: Mapping[str, Any]) -> tuple[str, int] | None:
        """Address and band number of a band among the assets of a scene; None where the scene lacks it."""
        for spelled in self.bands[band]:
            key, _, number = spelled.partition(":")
            if isinstance(found := assets.get(key), Mapping) and found.get("href"):
                return str(found["href"]), int(number or 1)
        return None

    def stored(
        self, raw: NDArray[Any], missing: NDArray[np.bool_], properties: Mapping[str, Any]
    ) -> NDArray[np.generic]:
        """What goes into the patch: [bands, H, W] raw values, and where there are none -> uint16, or as they are.

        0 means nodata in a patch. A dark pixel that is there is at least 1, so that the two stay apart.
        """
        if self.scale is None:
            return np.where(missing, raw.dtype.type(0), raw)
        offset = self.offset + (self.shift.of(properties) if self.shift else 0.0)
        values = np.rint((raw.astype(np.float64) * self.scale + offset) * REFLECTANCE)
        return np.where(missing, 0, np.clip(np.nan_to_num(values), 1, 65_535)).astype(np.uint16)


def load_sensor(path: Path, bands: Sequence[str] | None = None) -> Sensor:
    """The sensor of a yaml file, with all its bands or those named, in that order.

    Raises:
        ValueError: it is no such file, or lacks a band.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not yaml ({str(error).splitlines()[0]}); mend it") from None
    known = {each.name for each in fields(Sensor)} - {"name"}
    wrong = sorted(set(given) - known) if isinstance(given, dict) else ["everything"]
    if wrong:
        raise ValueError(f"{path}: unknown {', '.join(map(str, wrong))}; a sensor has {', '.join(sorted(known))}")
    try:
        made = _made(path.stem, given, bands)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {_plainly(error)}; compare with scripts/sensors/sentinel2.yaml") from None
    return made


def _made(name: str, given: dict[str, Any], chosen: Sequence[str] | None) -> Sensor:
    known = {str(band): (each,) if isinstance(each, str) else tuple(each) for band, each in given["bands"].items()}
    if lacking := [band for band in chosen or () if band not in known]:
        raise ValueError(f"no band {', '.join(lacking)}, only {', '.join(known)}")
    names = list(known) if chosen is None else list(chosen)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"bands must be named once each, got {names}")
    for spelled in (each for band in names for each in known[band]):
        if not spelled.partition(":")[2].isdigit() and ":" in spelled:
            raise ValueError(f"asset {spelled} should be KEY or KEY:NUMBER")
    south, north = map(float, given.get("latitudes", (-90, 90)))
    plain = {key: float(given[key]) for key in ("nodata", "scale", "offset") if given.get(key) is not None}
    resampling = str(given.get("resampling", "nearest"))
    if resampling not in Resampling.__members__:
        raise ValueError(f"no resampling {resampling}; one of {', '.join(Resampling.__members__)}")
    if not (float(given["resolution"]) > 0 and -90 <= south < north <= 90):
        raise ValueError("resolution must be above 0, latitudes [south, north] in degrees")
    return Sensor(
        name, str(given["collection"]), float(given["resolution"]), {band: known[band] for band in names},
        shift=Shift(**given["shift"]) if given.get("shift") else None, cloud=str(given.get("cloud") or ""),
        where=given.get("where"), latitudes=(south, north), resampling=resampling, **plain,
    )  # fmt: skip


def _plainly(error: Exception) -> str:
    return f"lacks {error}" if isinstance(error, KeyError) else str(error)
