"""Which rows of a batch are no negatives of each other, and what the others count for."""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip import ranks
from satclip.loss.pairs import EPSILON, Pairs
from satclip.sphere import EARTH_RADIUS_KM, angle_dtype, unit_vectors

EMBEDDING = "embedding"


class Excluded:
    """Pairs of different rows that are near on the sphere, or whose pictures are alike; by blocks, never all of them.

    Args:
        first: column of this rank's first row.
        places: unit vectors of all ranks' places, [N, 3]; None for any distance.
        chord: straight distance in radii of the Earth up to which two are near.
        pictures: unit vectors of all ranks' pictures, [N, K]; None for any likeness.
        cosine: from which two are alike.
    """

    def __init__(
        self, first: int, *, places: Tensor | None, chord: float, pictures: Tensor | None, cosine: float
    ) -> None:
        self.first, self.chord, self.cosine = first, chord, cosine
        self.places, self.pictures = places, pictures

    def block(self, rows: slice) -> Tensor:
        """Which columns are no negatives of these rows of this rank: bool [rows, N], False on the diagonal.

        The distance is summed from differences, which keeps a kilometre apart in float32 as a cosine would not.
        """
        own = slice(self.first + rows.start, self.first + rows.stop)
        out: Tensor | None = None
        if self.places is not None:
            apart = sum((axis[own, None] - axis[None]).square_() for axis in self.places.unbind(1))
            assert isinstance(apart, Tensor)
            out = apart <= self.chord**2
        if self.pictures is not None:
            alike = self.pictures[own] @ self.pictures.T > self.cosine
            out = alike if out is None else out.logical_or_(alike)
        assert out is not None
        out.diagonal(own.start).fill_(False)
        return out


class Negatives:
    """The options of a contrastive loss that say what is a negative.

    Args:
        exclude_within_km: rows whose places lie at most so far apart are not; 0 for none.
        exclude_alike: rows whose pictures' cosine, centred over the batch, is above this are not; None for none.
        alike_by: what tells the pictures: "embedding", or a source (see `satclip.loss.inputs.sources_of`).
        debias: tau+ of the debiased loss, the chance that a negative is a positive; 0 for the plain one.

    Raises:
        ValueError: an option is out of its bounds.
    """

    def __init__(self, exclude_within_km: float, exclude_alike: float | None, alike_by: str, debias: float) -> None:
        if not 0 <= exclude_within_km < math.pi * EARTH_RADIUS_KM:
            raise ValueError(
                f"loss.exclude_within_km must be from 0 (none) to less than half the Earth's round, "
                f"got {exclude_within_km}"
            )
        if exclude_alike is not None and not -1 <= exclude_alike < 1:
            raise ValueError(f"loss.exclude_alike is a cosine from -1 to below 1, or null, got {exclude_alike}")
        if not 0 <= debias < 1:
            raise ValueError(f"loss.debias is a probability from 0 to below 1, got {debias}")
        self.kilometres, self.cosine, self.by, self.debias = exclude_within_km, exclude_alike, alike_by, debias
        self.inputs = {"lonlat": "lonlat"} if exclude_within_km else {}
        if exclude_alike is not None and alike_by != EMBEDDING:
            self.inputs["alike_by"] = alike_by

    def excluded(self, pairs: Pairs, images: Tensor, given: dict[str, Any]) -> Excluded | None:
        """The pairs left out of this batch, over all ranks; None where the options leave none out.

        Raises:
            TypeError: an input is missing, or there is one more.
        """
        if given.keys() != self.inputs.keys():
            raise TypeError(f"the loss takes {', '.join(self.inputs) or 'nothing'} by name, got {', '.join(given)}")
        places = pictures = None
        if self.kilometres:
            lonlat: Tensor = given["lonlat"]
            places = ranks.gather(unit_vectors(lonlat.to(angle_dtype(lonlat.device))).to(pairs.images.dtype))
        if self.cosine is not None:
            pictures = centred_units(given.get("alike_by", images).detach(), pairs.images.dtype)
        if places is None and pictures is None:
            return None
        chord = 2 * math.sin(self.kilometres / EARTH_RADIUS_KM / 2)
        return Excluded(pairs.first, places=places, chord=chord, pictures=pictures, cosine=self.cosine or 0.0)


def centred_units(vectors: Tensor, dtype: torch.dtype) -> Tensor:
    """Unit vectors of all ranks, once more of length 1 after their mean is taken off: [B, K] -> [N, K]."""
    units = ranks.gather(F.normalize(vectors.to(dtype), dim=-1, eps=EPSILON))
    return F.normalize(units - units.mean(0), dim=-1, eps=EPSILON)


class Debiased(NamedTuple):
    """The negatives' sum of each row (or column), and how it follows what it was made of.

    Attributes:
        others: the sum that stands in the denominator.
        slope: its derivative by the plain sum of the others' exponentials; None for 1 throughout.
        by_match: minus its derivative by the exponential of the match; None for 0 throughout.
    """

    others: Tensor
    slope: Tensor | None = None
    by_match: Tensor | None = None


def debiased(others: Tensor, match: Tensor, count: Tensor | None, least: Tensor, chance: float) -> Debiased:
    """N g of the debiased contrastive loss with one positive (Chuang et al. 2020, arXiv 2007.00224, equation 8).

    N g = max((sum of the others - N tau+ match) / (1 - tau+), N exp(-1 / T)), by rows [n]; the floor is held constant.

    Args:
        others: sum of the exponentials of the N negatives.
        match: exponential of the match.
        count: N.
        least: exp(-1 / T), shifted like the exponentials.
        chance: tau+.
    """
    if count is None:
        return Debiased(others)
    wanted, floor = (others - chance * count * match) / (1 - chance), count * least
    kept = (wanted > floor).to(others.dtype)
    return Debiased(torch.maximum(wanted, floor), kept / (1 - chance), kept * count * (chance / (1 - chance)))
