"""What GeoCLIP's pretraining adds, against figures of an independent run under the same protocol.

Ridge on z-scored vectors, alphas 1e-2 to 1e7 by three inner folds of the hold-out's kind, R2 floored at -1, eight
draws, the mean over three untrained seeds; 6,000 block groups of California in cells of one degree, all stations in
cells of ten. The places and labels drawn are others: figures agree within their standard errors and no further.
"""

from importlib.metadata import PackageNotFoundError, files

import numpy as np
import pytest

from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.plan import Plan
from satclip.downstream.evaluate.ridge_probe import RidgeProbe
from satclip.downstream.evaluate.runner import run
from satclip.downstream.evaluate.scores import FLOOR
from satclip.downstream.rivals import Frozen, source
from satclip.downstream.rivals.untrained import SEEDS, untrained

# hold-out, labels -> pretrained minus untrained, and its standard error
AIR = {
    ("random", "30"): (0.438, 0.046),
    ("cells 10", "30"): (0.519, 0.036),
    ("random", "100"): (0.338, 0.018),
    ("cells 10", "100"): (0.371, 0.020),
    ("random", "300"): (0.213, 0.008),
    ("cells 10", "300"): (0.255, 0.008),
    ("random", "1000"): (0.143, 0.006),
    ("cells 10", "1000"): (0.195, 0.012),
}
CALIFORNIA = {
    ("random", "30"): (0.204, 0.032),
    ("cells 1", "30"): (0.248, 0.103),
    ("random", "100"): (0.109, 0.014),
    ("cells 1", "100"): (0.183, 0.078),
    ("random", "300"): (0.088, 0.006),
    ("cells 1", "300"): (0.147, 0.063),
    ("random", "1000"): (0.060, 0.009),
    ("cells 1", "1000"): (0.170, 0.085),
}


@pytest.mark.slow
@pytest.mark.parametrize(("table", "cell", "known"), [("air", 10.0, AIR), ("california", 1.0, CALIFORNIA)])
def test_pretraining_adds_what_an_independent_run_found(
    request: pytest.FixtureRequest, table: str, cell: float, known: dict[tuple[str, str], tuple[float, float]]
) -> None:
    try:
        files("geoclip")
    except PackageNotFoundError:
        pytest.skip("GeoCLIP's weights are not installed: pip install --no-deps geoclip")
    labels: Labels = request.getfixturevalue(table)
    geoclip = source("geoclip")
    assert isinstance(geoclip, Frozen)
    plan = Plan(
        labels=(30, 100, 300, 1000),
        holdouts=("random", "cells"),
        cells=(cell,),
        draws=8,
        places=6000,
        probe=RidgeProbe(alphas=10.0 ** (np.arange(-4, 15) / 2), scalings=("z-score",)),
    )
    records = run([geoclip, *(untrained(geoclip, seed, "untrained") for seed in SEEDS)], [labels], plan)
    off = []
    for (holdout, asked), (published, error) in known.items():
        scores = np.zeros((2, plan.draws))
        for record in records:
            if (record.holdout, record.asked) == (holdout, asked):
                fresh = record.encoder != "geoclip"
                scores[int(fresh), record.draw] += max(record.score, FLOOR) / (len(SEEDS) if fresh else 1)
        gain = scores[0] - scores[1]
        off.append((gain.mean() - published) / np.hypot(error, gain.std(ddof=1) / plan.draws**0.5))
    assert np.abs(off).max() < 2.5, off
    assert np.sqrt(np.mean(np.square(off))) < 1.25, off
