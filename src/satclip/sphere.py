"""Places on the Earth: degrees, ranges and distances. Longitude comes first, always."""

import math

import torch
from torch import Tensor

RADIANS = (
    "all places lie within 1.6 degrees of the equator and 6.3 east or 3.2 west of Greenwich, in the Gulf of Guinea; if "
    "they are radians, turn them into degrees"
)
EARTH_RADIUS_KM = 6371.0088  # mean radius, IUGG (Moritz 2000, Geodetic Reference System 1980)


def angle_dtype(device: torch.device) -> torch.dtype:
    """Name the widest float of a device: float64, but float32 on Apple's MPS, which has no wider one.

    Angles deserve it: a float32 longitude times an order of 100 is off by 3e-5 before any sine is taken.
    """
    return torch.float32 if device.type == "mps" else torch.float64


def radians(degrees: Tensor) -> Tensor:
    """Degrees as radians, in the dtype of `degrees`: bit for bit torch.deg2rad, which not every ONNX exporter knows."""
    return degrees * math.radians(1)


def unit_vectors(lonlat: Tensor) -> Tensor:
    """Place (longitude, latitude) in degrees on the unit sphere: [..., 2] -> [..., 3]."""
    angle = radians(lonlat)
    (x, ring), (y, z) = angle.cos().unbind(-1), angle.sin().unbind(-1)
    return torch.stack((ring * x, ring * y, z), -1)


def great_circle_km(a: Tensor, b: Tensor) -> Tensor:
    """Distance over the surface between places in degrees, in kilometres: [..., 2], [..., 2] -> [...].

    The angle is atan2(|a x b|, a . b): exact for near, far and opposite places alike, where acos loses half the digits.
    """
    a, b = unit_vectors(a), unit_vectors(b)
    angle = torch.atan2(torch.linalg.vector_norm(torch.linalg.cross(a, b), dim=-1), (a * b).sum(-1))
    return EARTH_RADIUS_KM * angle


def wrap_longitude(longitude: Tensor) -> Tensor:
    """Bring longitudes in degrees into [-180, 180). Those already there come back bit for bit."""
    turned = torch.remainder(longitude + 180, 360) - 180
    turned = torch.where(turned >= 180, turned - 360, turned)  # remainder(-1e-9, 360) rounds up to 360 in float32
    return torch.where((longitude >= -180) & (longitude < 180), longitude, turned)


def bad_lonlat(lonlat: Tensor) -> Tensor:
    """Mark invalid places: NaN or infinite, |latitude| > 90, longitude outside [-180, 360]. [..., 2] -> [...]."""
    longitude, latitude = lonlat.unbind(-1)
    return ~((longitude >= -180) & (longitude <= 360) & (latitude.abs() <= 90))


def in_radians(lonlat: Tensor) -> bool:
    """Whether places [N, 2] look like radians: at least five, wide apart, and all in the sea off Africa otherwise."""
    finite = lonlat[lonlat.isfinite().all(-1)]
    if len(finite) < 5:
        return False
    (west, south), (east, north) = finite.amin(0).tolist(), finite.amax(0).tolist()
    within: bool = west >= -math.pi and east <= 2 * math.pi and max(-south, north) <= math.pi / 2
    return within and max(east - west, north - south) > 0.05


def check_lonlat(lonlat: Tensor, *, show: int = 10) -> None:
    """Refuse invalid places.

    Raises:
        ValueError: with the numbers of the first `show` bad rows, and a word when the columns look swapped.
    """
    if lonlat.shape[-1:] != (2,):
        raise ValueError(f"lonlat needs a last axis of 2 (longitude, latitude), got shape {tuple(lonlat.shape)}")
    rows = lonlat.reshape(-1, 2)
    bad = bad_lonlat(rows)
    if not bad.any():
        return
    numbers = bad.nonzero().flatten()
    first = "; ".join(f"row {i}: ({rows[i, 0]:g}, {rows[i, 1]:g})" for i in numbers[:show].tolist())
    more = f" and {len(numbers) - show} more" if len(numbers) > show else ""
    raise ValueError(
        f"{len(numbers)} of {len(rows)} rows are not (longitude, latitude): {first}{more}; {_remedy(rows)}"
    )


def _remedy(rows: Tensor) -> str:
    finite = rows[rows.isfinite().all(-1)]
    swapped = finite.flip(-1)
    if len(finite) and bad_lonlat(finite).any() and not bad_lonlat(swapped).any():
        return "latitude must lie in [-90, 90]; the columns look like (latitude, longitude): swap them"
    return "longitude must lie in [-180, 360] and latitude in [-90, 90] degrees, without NaN"


def uniform_on_sphere(count: int, generator: torch.Generator) -> Tensor:
    """Draw places evenly over the surface: float64 [count, 2] in degrees, on the generator's device."""
    u, v = torch.rand(2, count, generator=generator, device=generator.device, dtype=torch.float64)
    return torch.stack((360 * u - 180, torch.rad2deg(torch.asin(2 * v - 1))), -1)


def block_ids(lonlat: Tensor, degrees: float = 5.0) -> Tensor:
    """Number the `degrees` x `degrees` cell of each place, row by row from (-180, -90): [..., 2] -> int64 [...].

    Neighbours share a cell, so holding out whole cells keeps a test set honest. Both poles and 180 = -180 belong to one
    cell each.

    Raises:
        ValueError: when `degrees` is not in (0, 180].
    """
    if not 0 < degrees <= 180:
        raise ValueError(f"degrees must be above 0 and at most 180, got {degrees}")
    longitude, latitude = lonlat.to(angle_dtype(lonlat.device)).unbind(-1)
    columns, rows = -int(-360 // degrees), -int(-180 // degrees)
    column = ((wrap_longitude(longitude) + 180) / degrees).floor().long().clamp(0, columns - 1)
    row = ((latitude + 90) / degrees).floor().long().clamp(0, rows - 1)
    return row * columns + column
