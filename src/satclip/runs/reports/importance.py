"""How much each option matters to a score: the share of its variance that the option explains."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from satclip.runs.reports.options import number
from satclip.runs.reports.record import FINISHED, Record

BINS = 4  # of an option that is a number with a value of its own in nearly every run
METHOD = (
    "Epsilon squared (Kelley 1935, PNAS 21:554): the share of the variance between runs that lies between the values "
    "of one option, less what chance would give. Each option is taken by itself: two that changed together share it. "
    "Numbers drawn at random are put into four bins. The line of seed shows how much is noise."
)


def importance(records: Sequence[Record], names: Sequence[str], score: str) -> Mapping[str, float]:
    """Of each option, 0 to 1; NaN where no two runs share a value of it, so that nothing can be said."""
    runs = [
        each
        for each in records
        if each.state == FINISHED and (value := each.figure(score)) is not None and math.isfinite(value)
    ]
    values = np.array([each.figure(score) for each in runs], dtype=np.float64)
    return {name: _epsilon_squared(_groups([each.option(name) for each in runs]), values) for name in names}


def _groups(options: Sequence[str | None]) -> list[str | None]:
    numbers = [number(each) for each in options]
    known = [each for each in numbers if each is not None]
    if len(known) < len(options) or len({*known}) <= max(BINS, len(known) // 2):
        return list(options)
    edges = np.quantile(known, np.arange(1, BINS) / BINS)
    return [str(int(np.searchsorted(edges, each))) for each in known]


def _epsilon_squared(groups: Sequence[str | None], values: NDArray[np.float64]) -> float:
    rows: dict[str | None, list[float]] = defaultdict(list)
    for group, value in zip(groups, values, strict=True):
        rows[group].append(float(value))
    n, k = len(values), len(rows)
    if k < 2 or n <= k:
        return math.nan
    total = float(((values - values.mean()) ** 2).sum())
    within = sum(float(((np.array(each) - np.mean(each)) ** 2).sum()) for each in rows.values())
    if total <= 0:
        return 0.0
    return max(0.0, (total - within - (k - 1) * within / (n - k)) / total)
