"""Geo-bias of every row of a benchmark: whether its right and wrong answers lie together."""

from functools import lru_cache

import numpy as np

from satclip.downstream.benchmark.answered import Answered, answered, mapped_key
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.benchmark.tables import Cell, Grid
from satclip.downstream.contract import Array
from satclip.downstream.evaluate.geobias import FEWEST, RADIUS_KM, GeoBias, geo_bias
from satclip.downstream.evaluate.sphere_index import nearest

RADII_KM = (RADIUS_KM, 200.0, 400.0, 800.0, 1600.0)
ERROR_CLASSES = 10


def bias_grid(found: Benchmark, task: str) -> Grid | None:
    """A row for each family on one task, under the hold-out that is mapped; None where nothing was tested closely."""
    key, labels = mapped_key(found, task), found.tasks[task]
    rows, radius = [], RADIUS_KM
    for family in found.results.families:
        records = found.results.of(key, family)
        first = [record for record in records if record.encoder == records[0].encoder]  # one seed speaks for all
        answers = answered(labels, first)
        if answers is None or len(answers.truth) < FEWEST:
            continue
        radius = fitting_radius(answers.lonlat)
        bias = _measured(answers.lonlat.tobytes(), performance(answers, labels.classes is not None).tobytes(), radius)
        if not bias.centres:
            continue
        cells = (Cell(f"{bias.unmarked:.1f}"), Cell(f"{bias.marked:.2f}"), Cell(f"{bias.permutation_p:.3f}"))
        rows.append((family, found.setting_of(family, key[1]), (*cells, Cell(str(bias.centres)))))
    if not rows:
        return None
    title = f"{task}: do errors cluster within {radius:g} km? ({key[1]}, {key[2]} labels)"
    return Grid(title, ("SSI unmarked", "SSI marked", "permutation p", "neighbourhoods"), tuple(rows))


def performance(found: Answered, classification: bool) -> Array:
    """Right (1) or wrong (0), or the tenth of all errors that a place's error belongs to, [M]."""
    if classification:
        return np.asarray(found.truth == found.answer, dtype=np.float64)
    off = np.abs(found.answer - found.truth)
    edges = np.quantile(off, np.arange(1, ERROR_CLASSES) / ERROR_CLASSES)
    return np.searchsorted(edges, off, side="right").astype(np.float64)


def fitting_radius(lonlat: Array) -> float:
    """The reference's 100 km where half of the places have enough others so near, else the next that serves."""
    km = np.median(nearest(lonlat, lonlat, FEWEST)[0][:, -1])  # each is its own nearest
    return next((radius for radius in RADII_KM if km <= radius), RADII_KM[-1])


@lru_cache(maxsize=512)
def _measured(lonlat: bytes, marks: bytes, radius_km: float) -> GeoBias:
    """Kept, because the page, its Markdown and W&B show the same table."""
    return geo_bias(np.frombuffer(lonlat).reshape(-1, 2), np.frombuffer(marks), radius_km=radius_km)
