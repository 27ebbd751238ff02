"""Places drawn evenly over a part of the Earth's surface, each a function of its keys."""

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import torch
from numpy.typing import NDArray

from satclip.geography.outlines import outlines
from satclip.hashing import hashed

LAND, SPHERE = "land", "sphere"
FEWEST, MOST = 8, 1 << 19  # draws at first, and in all: half a million find a hundred thousandth of a bounding box


@dataclass(frozen=True, eq=False)
class Area:
    """What is drawn from.

    Attributes:
        bounds: west, south, east, north, degrees; east may be beyond 180.
        shapes: polygons in degrees, any of which a place must lie in; None takes all within the bounds.
    """

    bounds: tuple[float, float, float, float]
    shapes: NDArray[np.object_] | None = None

    def place(self, *keys: int) -> tuple[float, float]:
        """The place of these keys: longitude in [-180, 180) and latitude, degrees.

        Even over the surface: uniform in longitude and in the sine of the latitude over the bounds, and drawn again
        until it lies inside (Archimedes' theorem of the sphere and the cylinder).

        Raises:
            ValueError: the shapes are next to nothing of their bounds.
        """
        west, south, east, north = self.bounds
        low, high = np.sin(np.radians((south, north)))
        ends = [0] + [FEWEST << power for power in range((MOST // FEWEST).bit_length())]
        for first_draw, end in pairwise(ends):  # the first draw that lies inside counts, however many are made at once
            draws = torch.arange(first_draw, end)
            u, v = (_unit(hashed(*keys, draws, axis)) for axis in (0, 1))
            longitude = west + u * (east - west)
            latitude = np.degrees(np.arcsin(np.clip(low + v * (high - low), -1, 1)))
            inside = self.contains(longitude, latitude)
            if inside.any():
                first = int(inside.argmax())
                return float((longitude[first] + 180) % 360 - 180), float(latitude[first])
        raise ValueError(f"{MOST:,} places within {self.bounds} and none in the area; draw its polygons larger")

    def contains(self, longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether places lie in any of the shapes, whichever way round their longitudes are counted."""
        inside = np.ones(len(longitude), bool)
        if self.shapes is None:
            return inside
        tree = _tree(self)
        inside[:] = False
        for turned in (longitude - 360, longitude, longitude + 360):
            near, shape = tree.query(shapely.points(turned, latitude))
            inside[near[shapely.intersects_xy(self.shapes[shape], turned[near], latitude[near])]] = True
        return inside

    def digest(self) -> str:
        """Equal where the same area is drawn from."""
        shapes = () if self.shapes is None else shapely.to_wkb(self.shapes).tolist()
        return hashlib.sha256(repr(self.bounds).encode() + b"".join(shapes)).hexdigest()


@lru_cache(maxsize=8)
def _tree(area: Area) -> Any:
    shapely.prepare(area.shapes)
    return shapely.STRtree(area.shapes)


def _unit(hashes: torch.Tensor) -> NDArray[np.float64]:
    """The upper 53 bits of hashes as float64 in [0, 1)."""
    return ((hashes >> 11) & ((1 << 53) - 1)).numpy().astype(np.float64) * 2.0**-53


def load_area(spec: str, latitudes: tuple[float, float]) -> Area:
    """`land` or `sphere` between two latitudes, or the polygons of a GeoJSON file as they are.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no valid polygons in degrees.
    """
    south, north = latitudes
    if spec == SPHERE:
        return Area((-180, south, 180, north))
    if spec == LAND:
        return Area((-180, south, 180, north), outlines().land)
    path = Path(spec)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path.absolute()}; --area takes {LAND}, {SPHERE} or a GeoJSON file")
    try:
        shapes = np.array(_polygons(json.loads(path.read_text(encoding="utf-8"))), dtype=object)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, shapely.errors.ShapelyError) as error:
        raise ValueError(f"{path} is not GeoJSON ({error or type(error).__name__}); export it anew") from None
    if not shapely.is_valid(shapes).all():
        why = shapely.is_valid_reason(shapes[~shapely.is_valid(shapes)][0])
        raise ValueError(f"{path}: a polygon is not valid ({why}); mend it, as with shapely.make_valid")
    if not len(shapes) or not (shapely.area(shapes) > 0).any():
        raise ValueError(f"{path} has no polygon; --area needs Polygon or MultiPolygon")
    west, low, east, high = map(float, shapely.total_bounds(shapes))
    if not (-360 <= west < east <= 360 and east - west <= 360 and -90 <= low < high <= 90):
        raise ValueError(
            f"{path} reaches over {west:g} {low:g} {east:g} {high:g}; it must be in degrees (EPSG:4326), longitude "
            "first: reproject it"
        )
    return Area((west, low, east, high), shapes)


def _polygons(given: Any) -> list[Any]:
    """All polygons of any kind of GeoJSON object."""
    kind = given["type"]
    if kind == "FeatureCollection":
        return [shape for feature in given["features"] for shape in _polygons(feature)]
    if kind == "Feature":
        return _polygons(given["geometry"]) if given["geometry"] else []
    if kind == "GeometryCollection":
        return [shape for part in given["geometries"] for shape in _polygons(part)]
    shape = shapely.geometry.shape(given)
    return list(shapely.get_parts(shape)) if kind in ("Polygon", "MultiPolygon") else []
