"""The benchmark's probe against scikit-learn: the same choices and the same answers, in how much less time.

scikit-learn's side is what people write: for each scaling RidgeCV over the inner folds, which fits every penalty anew
on every fold, then one fit of the best. Both sides get the same inner folds, and are run in turn. Places, vectors and
target are made up: random Fourier features of the places, a smooth target with noise. The second table is a whole run
of the benchmark for one encoder on such a task.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from timing import Row, race, show

from satclip.downstream.contract import Array, Labels
from satclip.downstream.evaluate.answers import Candidate, Goal
from satclip.downstream.evaluate.inner_folds import plain_folds
from satclip.downstream.evaluate.plan import HOLDOUTS, Plan
from satclip.downstream.evaluate.ridge import ALPHAS
from satclip.downstream.evaluate.ridge_probe import RidgeProbe
from satclip.downstream.evaluate.runner import run
from satclip.downstream.evaluate.sphere_index import unit_vectors
from satclip.downstream.evaluate.threads import one_thread

SCALINGS = ("z-score", "min-max")  # raw is brought to unit variance by ours, and has no scaler of scikit-learn's


class Fourier:
    """Random Fourier features of the place on the sphere."""

    seen = "nothing"

    def __init__(self, dim: int) -> None:
        generator = np.random.default_rng(0)
        self.name, self.fingerprint = f"fourier {dim}", f"fourier {dim}"
        self.matrix, self.phase = 3 * generator.normal(size=(3, dim)), generator.uniform(0, 2 * np.pi, dim)

    def __call__(self, lonlat: Array) -> Array:
        """[N, 2] -> [N, dim]."""
        features: Array = np.cos(unit_vectors(lonlat) @ self.matrix + self.phase)
        return features


def made_up(places: int) -> Labels:
    """A smooth field with as much noise as signal."""
    generator = np.random.default_rng(1)
    latitude = np.rad2deg(np.arcsin(generator.uniform(-1, 1, places)))
    lonlat = np.column_stack((generator.uniform(-180, 180, places), latitude))
    signal = np.cos(unit_vectors(lonlat) @ (4 * generator.normal(size=(3, 40)))).sum(1)
    return Labels("made up", lonlat, signal + signal.std() * generator.normal(size=places))


def ours(x: Array, y: Array, train: int, fold: NDArray[np.int64]) -> Array:
    """Choose and answer by one decomposition per fold and scaling."""
    rows = np.arange(len(x))
    probe = RidgeProbe(scalings=SCALINGS)
    return probe.answers([Candidate("x", x)], [Goal(y, None)], rows[:train], rows[train:], plain_folds(fold))[
        0
    ].predicted


def theirs(x: Array, y: Array, train: int, fold: NDArray[np.int64]) -> Array:
    """Choose and answer by RidgeCV under each scaling."""
    best: tuple[float, Array] | None = None
    for scaler in (StandardScaler(), MinMaxScaler()):
        scaled = scaler.fit_transform(x[:train])
        search = RidgeCV(alphas=ALPHAS, cv=PredefinedSplit(fold), scoring="neg_mean_squared_error").fit(
            scaled, y[:train]
        )
        if best is None or search.best_score_ > best[0]:
            model = SklearnRidge(alpha=search.alpha_).fit(scaled, y[:train])
            best = (float(search.best_score_), model.predict(scaler.transform(x[train:])))
    assert best is not None
    return best[1]


def compare(dim: int, train: int, repeats: int) -> Row:
    """One line: median seconds of both, and how far their answers are apart (their inner scalers differ by a fold)."""
    labels = made_up(train + 1000)
    x, y, fold = Fourier(dim)(labels.lonlat), labels.target.astype(np.float64), np.arange(train) % 3
    mine, other = partial(ours, x, y, train, fold), partial(theirs, x, y, train, fold)
    seconds = race({"ours": mine, "scikit-learn": other}, repeats)
    apart = np.abs(mine() - other()).max() / y.std()
    return {
        "labels": train,
        "dimensions": dim,
        "ours, ms": round(1e3 * seconds["ours"], 1),
        "scikit-learn, ms": round(1e3 * seconds["scikit-learn"], 1),
        "times faster": round(seconds["scikit-learn"] / seconds["ours"], 1),
        "answers apart (s.d.)": f"{apart:.0e}",
    }


def whole(dim: int, places: int, draws: int, workers: int) -> list[Row]:
    """Seconds of every hold-out for one encoder on one task, with all label counts."""
    labels, encoder, rows = made_up(places), Fourier(dim), []
    for holdout in HOLDOUTS[:-1]:
        start, cpu = time.perf_counter(), time.process_time()
        found = run([encoder], [labels], Plan(holdouts=(holdout,), draws=draws, workers=workers))
        taken = {"seconds": round(time.perf_counter() - start, 1), "CPU seconds": round(time.process_time() - cpu, 1)}
        rows.append({"hold-out": holdout, "fits": len(found), **taken})
    return rows


def main() -> None:
    """Print the tables and write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--dim", type=int, default=512, help="width of the vectors")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 300, 1000, 3000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--places", type=int, default=10_000, help="of the whole run; 0 leaves it out")
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the tables here too")
    options = parser.parse_args()

    with one_thread():
        probes = [compare(options.dim, count, options.repeats) for count in options.labels]
    show("one probe: 23 penalties, 2 scalings, 3 inner folds, one thread", probes)
    runs = whole(options.dim, options.places, options.draws, options.workers) if options.places else []
    if runs:
        show(f"one encoder, {options.places:,} places, {options.draws} draws, {options.workers} workers", runs)
    if options.json:
        options.json.write_text(json.dumps({"options": {**vars(options), "json": None}, "probe": probes, "run": runs}))


if __name__ == "__main__":
    main()
