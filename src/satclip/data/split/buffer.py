"""The buffer of a split: training patches that show the same ground as a validation patch are not trained on.

A patch is a square about its place, its sides north-south and east-west. Patches that overlap across a split make
retrieval look far better than it is: the ground of a validation place has then been seen in training.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.sphere import EARTH_RADIUS_KM, unit_vectors

Array = NDArray[np.float64]
_PAIRS = 500_000  # compared at a time: some 200 MB
_FINEST = 1e-5  # side of a cell in Earth radii, 64 m: finer ones would have numbers beyond int64


def meets(places: Tensor, others: Tensor, side_km: float) -> Tensor:
    """Whether the square about each place meets the square about any of the others: degrees [N, 2], [M, 2] -> bool [N].

    Squares lie in the plane of the azimuthal equidistant projection about their places: true to 0.1 % up to 1,000 km.
    """
    met = np.zeros(len(places), dtype=np.bool_)
    if side_km > 0 and len(others):
        near, far = (frames(lonlat) for lonlat in (places, others))
        # Two places in one cube whose diagonal is a side are less than a side apart: decides most where they are dense.
        cube = _chord(side_km) / 3**0.5
        if cube > _FINEST:
            met |= np.isin(_cells(near, cube), _cells(far, cube))
        for ours, theirs in _pairs(near, far, max(_chord(side_km * 2**0.5), _FINEST), met):
            met[ours[_squares_meet(near[ours], far[theirs], side_km)]] = True
    return torch.from_numpy(met)


def frames(lonlat: Tensor) -> Array:
    """Unit vectors, east and north of each place: [N, 2] -> [N, 3, 3]."""
    up: Array = unit_vectors(lonlat.to(torch.float64)).numpy()
    longitude = np.radians(lonlat[:, 0].to(torch.float64).numpy())
    east = np.stack((-np.sin(longitude), np.cos(longitude), np.zeros_like(longitude)), 1)
    return np.stack((up, east, np.cross(up, east)), 1)


def _squares_meet(first: Array, second: Array, side_km: float) -> NDArray[np.bool_]:
    """Whether squares about pairs of places meet, by the axes that could part them: 2 x [P, 3, 3] -> bool [P]."""
    ahead = offsets_km(first, second[:, 0])
    back = -offsets_km(second, first[:, 0])  # the same way, seen from the frame of the second
    square = np.maximum((ahead**2).sum(1), 1e-12)
    # How far north at one place is turned against north at the other along the way between them.
    cosine = np.abs((ahead * back).sum(1)) / square
    sine = np.abs(ahead[:, 0] * back[:, 1] - ahead[:, 1] * back[:, 0]) / square
    reach = side_km / 2 * (1 + np.where(square > 1e-12, cosine + sine, 1.0))
    return np.asarray((np.abs(ahead).max(1) < reach) & (np.abs(back).max(1) < reach))


def offsets_km(frame: Array, target: Array) -> Array:
    """Kilometres east and north from each place to a target on the unit sphere: [P, 3, 3], [P, 3] -> [P, 2]."""
    up = np.einsum("pc,pc->p", frame[:, 0], target)
    flat = np.einsum("pac,pc->pa", frame[:, 1:], target)
    length = np.hypot(flat[:, 0], flat[:, 1])
    angle = np.arctan2(length, up)
    return np.asarray(EARTH_RADIUS_KM * flat * (angle / np.maximum(length, 1e-300))[:, None])


def _chord(distance_km: float) -> float:
    """The straight line, in Earth radii, under a distance over the surface."""
    return 2 * float(np.sin(min(distance_km / EARTH_RADIUS_KM, np.pi) / 2))


def _cells(positions: Array, size: float, shift: Sequence[int] = (0, 0, 0)) -> NDArray[np.int64]:
    """The number of the cube that holds each place, or of a neighbour of that cube: [N, 3, 3] -> int64 [N]."""
    count = int(2 / size) + 4
    x, y, z = (((positions[:, 0] + 1) / size).astype(np.int64) + 1 + np.array(shift)).T
    return np.asarray((x * count + y) * count + z)


def _pairs(
    near: Array, far: Array, size: float, met: NDArray[np.bool_]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Numbers of pairs that may lie within `size` of each other, without those that `met` says are decided by then."""
    theirs = _cells(far, size)
    order = np.argsort(theirs, kind="stable")
    theirs = theirs[order]
    for shift in sorted(product((-1, 0, 1), repeat=3), key=lambda step: sum(map(abs, step))):
        open_ = np.flatnonzero(~met)
        cells = _cells(near[open_], size, shift)
        begin, end = np.searchsorted(theirs, cells, "left"), np.searchsorted(theirs, cells, "right")
        counts = end - begin
        ends = np.flatnonzero(np.diff(np.cumsum(counts) // _PAIRS, prepend=0))
        for part in np.split(np.arange(len(open_)), ends):
            ours = np.repeat(part, counts[part])
            rank = np.arange(len(ours)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
            yield open_[ours], order[begin[ours] + rank]
