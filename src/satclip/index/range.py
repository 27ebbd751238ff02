"""RANGE: what lies in the pictures and not in the places, put back by retrieval (CVPR 2025, arXiv 2502.19781).

With the unit query q of a place, unit keys k_j and values v_j of the stored patches, and unit vectors u on the sphere:

    RANGE    r = sum_j softmax_j(t q.k_j) v_j
    RANGE+   r = (1 - b) sum_j softmax_j(g u.u_j) v_j + b sum_j softmax_j(s q.k_j) v_j

and [r, q] is the embedding. The paper has t = 15, s = 12, g = 40 and b = 1/2; sums are over all patches.
"""

import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from satclip.sphere import EARTH_RADIUS_KM, unit_vectors

Form = Literal["range", "range+"]
CHUNK = 8192  # stored patches compared at a time
PAPER = {"alone": 15.0, "beside": 12.0, "geographic": 40.0}
MIX = 0.5


class NothingLeftError(ValueError):
    """All stored patches lie too near to a place."""


@dataclass(frozen=True)
class Sharpness:
    """Inverse temperatures: of likeness in RANGE (t), of likeness (s) and of distance (g) in RANGE+."""

    alone: float = PAPER["alone"]
    beside: float = PAPER["beside"]
    geographic: float = PAPER["geographic"]

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"an inverse temperature must be positive, got {name}={value}; give 5 to 100")


class Weighted:
    """A softmax-weighted mean of values that come in pieces: exact, and never all weights at once."""

    def __init__(self, rows: int, width: int, like: Tensor) -> None:
        self.highest = like.new_full((rows, 1), -math.inf)
        self.total = like.new_zeros(rows, 1)
        self.sum = like.new_zeros(rows, width)

    def add(self, logits: Tensor, values: Tensor) -> None:
        """Logits [rows, n], -inf for what does not count, of values [n, width]."""
        higher = torch.maximum(self.highest, logits.amax(1, keepdim=True))
        anchor = torch.where(higher == -math.inf, 0, higher)  # nothing has counted yet
        weights = (logits - anchor).exp()
        shrink = (self.highest - anchor).exp()
        self.total = self.total * shrink + weights.sum(1, keepdim=True)
        self.sum = self.sum * shrink + weights @ values
        self.highest = higher

    def mean(self) -> Tensor:
        """[rows, width]."""
        return self.sum / self.total


def retrieve(
    queries: Tensor,
    lonlat: Tensor,
    stored_lonlat: NDArray[np.float64],
    keys: NDArray[np.float16],
    values: NDArray[np.float16],
    *,
    form: Form = "range",
    sharpness: Sharpness | None = None,
    exclude_within_km: float = 0.0,
    chunk: int = CHUNK,
) -> Tensor:
    """r for each place, [N, V], in the queries' dtype, float32 at least.

    Memory is that of N x `chunk`, however large the store.

    Args:
        queries: location embeddings [N, D], of any length.
        lonlat: their places in degrees [N, 2].
        stored_lonlat, keys, values: of the store, [M, 2], [M, D], [M, V].
        form: which of the two.
        sharpness: inverse temperatures; the paper's where it is None.
        exclude_within_km: patches so near to a place are not there for it; 0 leaves none out.
        chunk: patches compared at a time.

    Raises:
        NothingLeftError: for some place no patch is left.
    """
    sharp = sharpness or Sharpness()
    dtype = torch.promote_types(queries.dtype, torch.float32)
    unit = F.normalize(queries.to(dtype), dim=-1)
    at = unit_vectors(lonlat.double()) if lonlat.device.type != "mps" else unit_vectors(lonlat)
    near = math.cos(exclude_within_km / EARTH_RADIUS_KM)
    means = [Weighted(len(unit), values.shape[1], unit) for _ in range(1 if form == "range" else 2)]
    for start in range(0, len(keys), chunk):
        part = slice(start, start + chunk)
        key, value = (torch.from_numpy(np.array(each[part], np.float32)).to(unit) for each in (keys, values))
        cosines = at @ unit_vectors(torch.from_numpy(np.array(stored_lonlat[part])).to(at)).T
        likeness = unit @ F.normalize(key, dim=-1).T
        logits = [(sharp.alone if form == "range" else sharp.beside) * likeness]
        if form == "range+":
            logits.append((sharp.geographic * cosines).to(dtype))
        for mean, each in zip(means, logits, strict=True):
            mean.add(each.masked_fill(cosines >= near, -math.inf) if exclude_within_km else each, value)
    if (nothing := means[0].total == 0).any():
        row = int(nothing.flatten().int().argmax())
        raise NothingLeftError(
            f"no stored patch is more than {exclude_within_km:g} km away from {int(nothing.sum())} places, the first "
            f"at longitude {lonlat[row, 0]:g}, latitude {lonlat[row, 1]:g}; give a smaller distance"
        )
    if form == "range":
        return means[0].mean()
    return MIX * means[0].mean() + (1 - MIX) * means[1].mean()
