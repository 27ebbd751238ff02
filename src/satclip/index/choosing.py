"""The inverse temperatures of retrieval, chosen on validation patches: no label, and no patch that is in the store."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.index.range import Form, Sharpness, retrieve

log = logging.getLogger(__name__)
LIKENESS = tuple(round(float(each), 2) for each in np.geomspace(5, 100, 8))
DISTANCE = tuple(round(float(each), 2) for each in np.geomspace(5, 5000, 10))  # reaches of 2,850 to 90 km
FEWEST = 50  # validation patches to choose by


@dataclass(frozen=True)
class Choice:
    """What was chosen, and how well it told the features of validation patches.

    Attributes:
        sharpness: the inverse temperatures.
        explained: by form, the share of the features' variance that retrieval explains.
        places: validation patches that chose; 0 where there were too few and the paper's were taken.
    """

    sharpness: Sharpness
    explained: dict[str, float]
    places: int


def choose(
    queries: Tensor,
    lonlat: Tensor,
    truth: Tensor,
    stored_lonlat: NDArray[np.float64],
    keys: NDArray[np.float16],
    values: NDArray[np.float16],
) -> Choice:
    """The inverse temperatures by which retrieval comes nearest to the features of patches that it does not hold.

    Likeness is tried from 5 to 100, distance from 5 to 5,000, in geometric steps; the two of RANGE+ in turn.

    Args:
        queries: location embeddings at validation places, [N, D].
        lonlat: those places in degrees, [N, 2].
        truth: image features of the patches there, [N, V].
        stored_lonlat, keys, values: of the store, [M, 2], [M, D], [M, V].
    """
    if len(truth) < FEWEST:
        log.warning("%d validation patches, fewer than %d: the paper's temperatures are taken", len(truth), FEWEST)
        return Choice(Sharpness(), {}, 0)
    sample = np.asarray(values[:: max(1, len(values) // 4096)], np.float64)
    spread = torch.from_numpy(sample.std(0)).to(truth).clamp_min(1e-6)
    total = float(((truth - truth.mean(0)) / spread).square().mean())

    def explained(form: Form, sharpness: Sharpness) -> float:
        found = retrieve(queries, lonlat, stored_lonlat, keys, values, form=form, sharpness=sharpness)
        return 1 - float(((found - truth) / spread).square().mean()) / total

    def best(form: Form, base: Sharpness, name: str, tried: Iterable[float]) -> Sharpness:
        changed: list[dict[str, Any]] = [{name: each} for each in tried]
        candidates = [replace(base, **each) for each in changed]
        return max(candidates, key=lambda each: explained(form, each))

    chosen = best("range", Sharpness(), "alone", LIKENESS)
    chosen = best("range+", chosen, "geographic", DISTANCE)
    chosen = best("range+", chosen, "beside", LIKENESS)
    chosen = best("range+", chosen, "geographic", DISTANCE)
    for name, tried in (("alone", LIKENESS), ("beside", LIKENESS), ("geographic", DISTANCE)):
        if getattr(chosen, name) in (tried[0], tried[-1]):
            log.warning(
                "the inverse temperature %s lies on the edge of what was tried, at %g", name, getattr(chosen, name)
            )
    figures: dict[str, float] = {form: explained(form, chosen) for form in ("range", "range+")}
    return Choice(chosen, figures, len(truth))
