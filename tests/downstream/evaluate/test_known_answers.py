"""Published rows of CoordBench (taylor-geospatial/mind and torchgeo-bench, mode=coord), to the digits they print."""

from importlib.metadata import PackageNotFoundError, files

import numpy as np
import pytest

from satclip.downstream.contract import Labels, Places
from satclip.downstream.evaluate.coordbench import ALPHAS, coordbench, coordbench_folds

# (task, cell in degrees, version, published score, tolerance)
SINCOS = [
    ("air", 0, 1, 0.851512, 1e-5),
    ("air", 10, 1, 0.842056, 1e-5),
    ("air", 0, 2, 0.851512, 1e-5),
    ("air", 10, 2, 0.842075, 1e-5),
    ("california", 0, 1, 0.243334, 1e-5),
    ("california", 10, 1, -1.21938, 2e-3),
    ("california", 0, 2, 0.243333, 1e-5),
    ("california", 10, 2, -1.869, 2e-3),
]
GEOCLIP = [
    ("air", 0, 1, 0.922486, 1e-5),
    ("air", 10, 1, 0.908743, 1e-5),
    ("air", 0, 2, 0.927744, 1e-5),
    ("air", 10, 2, 0.915601, 1e-5),
    ("california", 0, 1, 0.701785, 1e-5),
    ("california", 10, 1, -2.77906, 2e-3),
    ("california", 0, 2, 0.701891, 1e-5),
    ("california", 10, 2, -1.684, 2e-3),
]


@pytest.fixture(scope="session")
def geoclip() -> Places:
    """GeoCLIP by its adapter, with the weights of the PyPI wheel."""
    adapter = pytest.importorskip(
        "satclip.downstream.rivals.geoclip", reason="the adapter is not part of this checkout"
    )
    try:
        files("geoclip")
    except PackageNotFoundError:
        pytest.skip("GeoCLIP's weights are not installed: pip install --no-deps geoclip")
    encoder: Places = adapter.geoclip()
    return encoder


@pytest.fixture(scope="session")
def tables(air: Labels, california: Labels) -> dict[str, Labels]:
    return {"air": air, "california": california}


@pytest.fixture(scope="session")
def geoclip_vectors(geoclip: Places, tables: dict[str, Labels]) -> dict[str, np.ndarray]:
    return {name: geoclip(labels.lonlat) for name, labels in tables.items()}


@pytest.mark.parametrize(("task", "degrees", "version", "published", "tolerance"), SINCOS)
def test_four_sines_score_what_coordbench_published(
    task: str,
    degrees: float,
    version: int,
    published: float,
    tolerance: float,
    tables: dict[str, Labels],
    sincos: Places,
) -> None:
    labels = tables[task]
    found = coordbench(sincos(labels.lonlat), labels, degrees, version=version)
    assert found.score == pytest.approx(published, abs=tolerance)
    assert found.alpha in ALPHAS


@pytest.mark.slow
@pytest.mark.parametrize(("task", "degrees", "version", "published", "tolerance"), GEOCLIP)
def test_geoclip_scores_what_coordbench_published(
    task: str,
    degrees: float,
    version: int,
    published: float,
    tolerance: float,
    tables: dict[str, Labels],
    geoclip_vectors: dict[str, np.ndarray],
) -> None:
    found = coordbench(geoclip_vectors[task], tables[task], degrees, version=version)
    assert found.score == pytest.approx(published, abs=tolerance)


def test_random_folds_are_every_fifth_of_a_permutation() -> None:
    places = np.zeros((23, 2))
    order = np.random.default_rng(0).permutation(23)
    fold = coordbench_folds(places, 0)
    for number in range(5):
        assert sorted(order[number::5]) == np.flatnonzero(fold == number).tolist()


def test_a_cell_lies_in_one_fold(air: Labels) -> None:
    fold = coordbench_folds(air.lonlat, 20)
    cell = [tuple(row) for row in np.floor(air.lonlat / 20).tolist()]
    assert len(set(zip(cell, fold.tolist(), strict=True))) == len(set(cell))
    assert set(fold.tolist()) == {0, 1, 2, 3, 4}


def test_the_penalised_column_of_ones_is_what_solving_with_it_gives(sincos: Places) -> None:
    generator = np.random.default_rng(0)
    lonlat = np.column_stack((generator.uniform(-180, 180, 60), generator.uniform(-90, 90, 60)))
    target = 30 + generator.normal(size=60)
    labels = Labels("offset", lonlat, target)
    fold, x = coordbench_folds(lonlat, 0), sincos(lonlat)
    scores = np.zeros((5, len(ALPHAS)))
    for number in range(5):
        train, test = fold != number, fold == number
        mean, spread = x[train].mean(0), x[train].std(0, ddof=1)
        ones = np.column_stack(((x - mean) / spread, np.ones(60)))
        for at, alpha in enumerate(ALPHAS):
            gram = ones[train].T @ ones[train] + alpha * np.eye(5)
            guess = ones[test] @ np.linalg.solve(gram, ones[train].T @ target[train])
            scores[number, at] = (
                1 - ((target[test] - guess) ** 2).sum() / ((target[test] - target[test].mean()) ** 2).sum()
            )
    best = scores.mean(0).argmax()
    found = coordbench(x, labels, 0)
    assert found.alpha == ALPHAS[best]
    assert found.folds == pytest.approx(scores[:, best].tolist(), abs=1e-8)


def test_classes_are_scored_by_accuracy(belts: Labels, sincos: Places) -> None:
    found = coordbench(sincos(belts.lonlat), belts, 0, version=2)
    assert 0.8 < found.score <= 1


def test_one_cell_cannot_be_held_out(california: Labels, sincos: Places) -> None:
    with pytest.raises(ValueError, match="one cell of 180 degrees; hold out smaller cells"):
        coordbench(sincos(california.lonlat), california, 180)
    with pytest.raises(ValueError, match="version must be 1"):
        coordbench(sincos(california.lonlat), california, 10, version=3)
