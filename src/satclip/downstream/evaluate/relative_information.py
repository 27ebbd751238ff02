"""The spatial relative information of PyGBS: does performance differ from part to part of the world?

Over parts (cells, rings of distance, sectors of direction) the mean, weighted by their size, of the Kullback-Leibler
divergence of the global from the local histogram of performance, ten bins, parts of twenty places or more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.sphere_index import nearest

FEWEST, BINS = 20, 10


@dataclass(frozen=True)
class RelativeInformation:
    """SRI of a partition, in nats, and the share of permutations of the performance that reach as much."""

    information: float
    permutation_p: float
    parts: int


def relative_information(
    performance: Array, parts: NDArray[np.int64], *, permutations: int = 199, seed: int = 0
) -> RelativeInformation:
    """SRI over parts of 20 places or more.

    Args:
        performance: [M]; its range is cut into ten bins.
        parts: id of the part of each place (`cell_of`, `distance_parts`, `direction_parts`) [M]; -1 is in none.
        permutations: for the p-value.
        seed: of the permutations.

    Returns:
        NaN and p = 1 where no part is large enough.
    """
    ids, sizes = np.unique(parts[parts >= 0], return_counts=True)
    kept = ids[sizes >= FEWEST]
    if not len(kept):
        return RelativeInformation(np.nan, 1.0, 0)
    low, high = float(performance.min()), float(performance.max())
    bins = np.clip(((performance - low) / max(high - low, 1e-300) * BINS).astype(np.int64), 0, BINS - 1)
    inside = np.isin(parts, kept)
    part = np.searchsorted(kept, np.where(inside, parts, kept[0]))
    generator = np.random.default_rng(seed)
    found = _divergence(bins, part, inside, len(kept))
    shuffled = [_divergence(generator.permutation(bins), part, inside, len(kept)) for _ in range(permutations)]
    as_much = int((np.array(shuffled) >= found - 1e-12).sum())
    return RelativeInformation(found, (as_much + 1) / (permutations + 1), len(kept))


def distance_parts(lonlat: Array, centre: Array, lag_km: float) -> NDArray[np.int64]:
    """Rings of `lag_km` around a place (degrees [2]): [M, 2] -> ids [M]."""
    km = nearest(centre[None], lonlat, 1)[0][:, 0]
    ring: NDArray[np.int64] = (km // lag_km).astype(np.int64)
    return ring


def direction_parts(lonlat: Array, centre: Array, sectors: int = 8) -> NDArray[np.int64]:
    """Sectors of the compass as seen from a place (degrees [2]), by initial bearing: [M, 2] -> ids [M]."""
    longitude, latitude = np.deg2rad(lonlat - np.array([centre[0], 0.0])).T
    middle = np.deg2rad(centre[1])
    east = np.sin(longitude) * np.cos(latitude)
    north = np.cos(middle) * np.sin(latitude) - np.sin(middle) * np.cos(latitude) * np.cos(longitude)
    turn = np.arctan2(east, north) % (2 * np.pi)
    sector: NDArray[np.int64] = np.minimum((turn / (2 * np.pi) * sectors).astype(np.int64), sectors - 1)
    return sector


def _divergence(bins: NDArray[np.int64], part: NDArray[np.int64], inside: NDArray[np.bool_], parts: int) -> float:
    """Sum over parts of n / N KL(global || local), with half a place in every bin so that it is finite."""
    everywhere = (np.bincount(bins, minlength=BINS) + 0.5) / (len(bins) + 0.5 * BINS)
    table = np.bincount(part[inside] * BINS + bins[inside], minlength=parts * BINS).reshape(parts, BINS)
    size = table.sum(1)
    local = (table + 0.5) / (size + 0.5 * BINS)[:, None]
    divergence = (everywhere * np.log(everywhere / local)).sum(1)
    return float((size / size.sum() * divergence).sum())
