"""How alike places are to a location encoder: the places most like one, and the distance over which likeness halves."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satclip.embedding import embed
from satclip.geography.lattice import land_lattice
from satclip.sphere import EARTH_RADIUS_KM, great_circle_km

PLACES = 400
DISTANCES = np.geomspace(5, 5000, 31)  # kilometres
_HALF_ROUND = math.pi * EARTH_RADIUS_KM


def similarity(encoder: nn.Module, place: Tensor, lonlat: Tensor) -> Tensor:
    """Cosine of the embeddings of places to that of one: degrees [1, 2], [N, 2] -> float64 [N]."""
    return F.cosine_similarity(embed(encoder, lonlat).double(), embed(encoder, place).double())


def most_alike(alike: Tensor, lonlat: Tensor, place: Tensor, count: int, *, apart_km: float) -> Tensor:
    """The rows most like a place, best first, none of them within `apart_km` of it or of one before: int64 [<= count].

    Without the distance they would be the cells around the place itself.

    Args:
        alike: similarity of N places to it, [N]; rows of NaN are skipped.
        lonlat: those places, degrees [N, 2].
        place: degrees [1, 2] or [2].
        count: how many.
        apart_km: great-circle distance; with 0 only the place itself is left out.
    """
    left = alike.isfinite() & (great_circle_km(lonlat, place.reshape(1, 2).expand_as(lonlat)) > apart_km)
    score = torch.where(left, alike, -torch.inf)
    found: list[int] = []
    while len(found) < count and bool(left.any()):
        best = int(score.argmax())
        found.append(best)
        left &= great_circle_km(lonlat, lonlat[best].expand_as(lonlat)) > apart_km
        left[best] = False
        score[~left] = -torch.inf
    return torch.tensor(found, dtype=torch.long)


@dataclass(frozen=True)
class Resolution:
    """What an encoder tells apart.

    Attributes:
        half_km: distance at which the similarity of two places has fallen half way from 1 to that of places drawn
            apart; None where it is below the nearest distance or beyond the farthest tried.
        apart: mean similarity of places drawn apart: what there is no distance to.
    """

    half_km: float | None
    apart: float


def resolution(encoder: nn.Module, lonlat: Tensor | None = None, *, seed: int = 0) -> Resolution:
    """The distance over which likeness halves, by pairs at 31 distances from 5 to 5,000 km in random directions.

    The similarity is the cosine of whole embeddings. It falls to the mean similarity of places that have nothing to do
    with each other, which is seldom 0: half is half way there.

    Args:
        encoder: degrees [N, 2] -> [N, D].
        lonlat: places to begin from, degrees [N, 2], two at least; by default 400, evenly over land.
        seed: of the directions.

    Raises:
        ValueError: an embedding is not finite.
    """
    places = torch.tensor(land_lattice(PLACES)) if lonlat is None else lonlat.double()
    directions = torch.rand(len(places), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    here = F.normalize(embed(encoder, places).double(), dim=-1)
    if not here.isfinite().all():
        raise ValueError("the embedding has NaN or infinite values: the training diverged; lower the learning rate")
    others = (here.sum(0).square().sum() - len(here)) / (len(here) * (len(here) - 1))  # mean over pairs
    apart = float(others)
    means = []
    for kilometres in DISTANCES:
        there = F.normalize(embed(encoder, moved(places, 360 * directions, float(kilometres))).double(), dim=-1)
        means.append(float((here * there).sum(-1).mean()))
    half = (1 + apart) / 2
    below = np.flatnonzero(np.array(means) <= half)
    if not len(below) or below[0] == 0:
        return Resolution(None, apart)
    after = int(below[0])
    (high, low), logs = means[after - 1 : after + 1], np.log(DISTANCES[after - 1 : after + 1])
    part = (high - half) / (high - low)
    return Resolution(float(np.exp(logs[0] + part * (logs[1] - logs[0]))), apart)


def moved(lonlat: Tensor, bearing: Tensor, kilometres: float) -> Tensor:
    """Places reached along great circles: degrees [N, 2], bearings in degrees from north [N] -> degrees [N, 2].

    The direct formula on a sphere (Snyder 1987, equations 5-5 and 5-6).
    """
    angle = kilometres / EARTH_RADIUS_KM
    longitude, latitude = torch.deg2rad(lonlat).unbind(-1)
    azimuth = torch.deg2rad(bearing)
    sine = latitude.sin() * math.cos(angle) + latitude.cos() * math.sin(angle) * azimuth.cos()
    east = torch.atan2(
        math.sin(angle) * azimuth.sin(),
        latitude.cos() * math.cos(angle) - latitude.sin() * math.sin(angle) * azimuth.cos(),
    )
    turned = torch.rad2deg(longitude + east)
    return torch.stack((torch.remainder(turned + 180, 360) - 180, torch.rad2deg(torch.asin(sine.clamp(-1, 1)))), -1)


def finest_km(legendre_polys: int) -> float:
    """Half a wavelength of the highest of `legendre_polys` degrees of harmonics, in kilometres on the ground."""
    return _HALF_ROUND / max(1, legendre_polys - 1)
