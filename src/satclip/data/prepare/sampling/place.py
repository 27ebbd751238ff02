"""One patch of the sample: places and scenes tried in an order that its seed and its number decide."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from satclip.data.prepare.sampling.area import Area
from satclip.data.prepare.sampling.catalogue import Catalogue, moment
from satclip.data.prepare.sampling.dates import Days
from satclip.data.prepare.sampling.sensor import Sensor
from satclip.data.prepare.sampling.trouble import SceneError
from satclip.data.prepare.sampling.window import gdal, read_patch
from satclip.hashing import hashed, shuffled, text_keys

PLACE, MONTH, SCENE = 1, 2, 3  # of the keys
SINGLE_MONTHS = 3  # that are searched before all the others together


@dataclass(frozen=True)
class Sampling:
    """What is sampled, and how.

    Attributes:
        area: from which places are drawn evenly.
        sensor: what is read there.
        days: when.
        catalogue: where scenes are searched.
        seed: with a patch's number the key of all that is drawn for it.
        size: of a patch, pixels.
        max_cloud: percent of cloud in a scene; nothing where the sensor has no such property.
        max_nodata: share of a patch, 0 to 1, in its worst band.
        places: that are tried for one patch.
        scenes: that are read at one place.
    """

    area: Area
    sensor: Sensor
    days: Days
    catalogue: Catalogue
    seed: int = 0
    size: int = 256
    max_cloud: float = 20.0
    max_nodata: float = 0.01
    places: int = 20
    scenes: int = 5


@dataclass(frozen=True)
class Found:
    """What came of one number.

    Attributes:
        data: the patch, a GeoTIFF; None where no place had one.
        place: longitude and latitude in degrees, of the last place tried.
        tried: places, the last included.
        reasons: why scenes and places were rejected, and how often.
        scene: id and date of the scene, its cloud in percent, the patch's share of nodata.
    """

    data: bytes | None
    place: tuple[float, float]
    tried: int
    reasons: dict[str, int]
    scene: dict[str, Any]


def find(number: int, what: Sampling) -> Found:
    """The patch of a number: at the first place that has one.

    Raises:
        UnreachableError: a server does not answer, so that it is not known.
    """
    reasons: Counter[str] = Counter()
    place = (0.0, 0.0)
    for tried in range(what.places):
        place = what.area.place(what.seed, PLACE, number, tried)
        keys, seen = (what.seed, number, tried), set[str]()
        for read, scene in enumerate(_scenes(place, keys, what, reasons, seen), 1):
            try:
                with gdal(what.catalogue.patience):
                    data, share = read_patch(scene, place, what.sensor, what.size, what.catalogue, what.max_nodata)
            except SceneError as error:
                reasons[error.cause] += 1
            else:
                about = {"scene": scene["id"], "datetime": str(moment(scene)), "nodata": round(share, 6)}
                cloud = scene["properties"].get(what.sensor.cloud)
                return Found(data, place, tried + 1, dict(reasons), {**about, "cloud": cloud})
            if read == what.scenes:
                break
        reasons["place given up" if seen else "no scene"] += 1
    return Found(None, place, what.places, dict(reasons), {})


def _scenes(
    place: tuple[float, float], keys: tuple[int, int, int], what: Sampling, reasons: Counter[str], seen: set[str]
) -> Iterator[dict[str, Any]]:
    """Scenes at a place in a drawn order: of three months one by one, which is easy on the catalogue, then of all.

    All are searched before a place has no scene, or cloudy regions would be sampled less than others.
    """
    months = what.days.spans(place[1])
    spans: list[tuple[date, date]] = [months[row] for row in shuffled(len(months), MONTH, *keys)[:SINGLE_MONTHS]]
    if len(spans) < len(months):
        spans.append((months[0][0], months[-1][1]))
    for first, last in spans:
        found = {scene["id"]: scene for scene in what.catalogue.search(place, first, last, limits(what))}
        new = sorted(found.keys() - seen)
        seen.update(new)
        for row in hashed(SCENE, *keys, text_keys(new)).argsort(stable=True).tolist():
            reason = unfit(found[new[row]], place, what)
            if reason is None:
                yield found[new[row]]
            else:
                reasons[reason] += 1


def limits(what: Sampling) -> dict[str, dict[str, Any]]:
    """What the catalogue is asked to leave out, in the terms of the query extension."""
    asked: dict[str, dict[str, Any]] = {key: {"in": list(taken)} for key, taken in (what.sensor.where or {}).items()}
    if what.sensor.cloud:
        asked[what.sensor.cloud] = {"lte": what.max_cloud}
    return asked


def unfit(scene: dict[str, Any], place: tuple[float, float], what: Sampling) -> str | None:
    """Why a scene is not read, though the catalogue gave it; None where it is."""
    about, taken = scene["properties"], moment(scene)
    if taken is None or not what.days.takes(taken, place[1]):
        return "other date"
    for key, wanted in (what.sensor.where or {}).items():
        if about.get(key) not in wanted:
            return f"other {key}"
    cloud = about.get(what.sensor.cloud) if what.sensor.cloud else 0.0
    if not isinstance(cloud, int | float) or not cloud <= what.max_cloud:
        return "cloud"
    return None
