"""The rivals that never look at a picture, against sums by hand."""

import numpy as np
import pytest
import torch

from satclip.downstream.contract import Predictor
from satclip.downstream.evaluate.interpolation import InverseDistance, SphereNeighbours
from satclip.downstream.evaluate.sphere_index import nearest, within
from satclip.sphere import great_circle_km

generator = np.random.default_rng(0)
KNOWN = np.column_stack((generator.uniform(-180, 180, 300), np.rad2deg(np.arcsin(generator.uniform(-1, 1, 300)))))
ASKED = np.concatenate((KNOWN[:2], [[180.0, 0.0], [-180.0, 0.0], [13.0, 90.0], [200.0, 10.0]]))
TARGET = generator.normal(size=300)
CODES = generator.integers(0, 4, 300)
KM = great_circle_km(torch.from_numpy(ASKED)[:, None], torch.from_numpy(KNOWN)[None]).numpy()
FOLDS = np.zeros(300, dtype=np.int64)


@pytest.mark.parametrize("k", [1, 7, 500])
def test_the_nearest_are_those_of_the_whole_distance_matrix(k: int) -> None:
    km, rows = nearest(KNOWN, ASKED, k)
    order = np.argsort(KM, axis=1)[:, :k]
    assert km.shape == (len(ASKED), min(k, 300))
    np.testing.assert_allclose(km, np.take_along_axis(KM, order, 1), atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(KM, rows, 1), km, atol=1e-6)


def test_within_is_a_distance_to_the_nearest_centre() -> None:
    np.testing.assert_array_equal(within(KNOWN, ASKED, 1500.0), (KM <= 1500).any(0))
    assert within(KNOWN, KNOWN[:1], 0.0).sum() == 1
    assert not within(KNOWN, np.empty((0, 2)), 1e5).any()


def test_inverse_distances_are_weighted_by_hand() -> None:
    found = InverseDistance().fit_predict(KNOWN, TARGET, ASKED, None, FOLDS)
    order = np.argsort(KM, axis=1)[:, :50]
    near = np.take_along_axis(KM, order, 1)[2:]
    expected = (TARGET[order[2:]] / near**2).sum(1) / (1 / near**2).sum(1)
    np.testing.assert_allclose(found[2:], expected, rtol=1e-8)
    np.testing.assert_allclose(found[:2], TARGET[:2], atol=1e-9)  # at the very place of a label


def test_a_vote_of_inverse_distances_sums_to_one_and_follows_the_nearest() -> None:
    scores = InverseDistance().fit_predict(KNOWN, CODES, ASKED, tuple("abcd"), FOLDS)
    np.testing.assert_allclose(scores.sum(1), 1)
    assert scores.argmax(1)[:2].tolist() == CODES[:2].tolist()


def test_neighbours_on_the_sphere_are_scikit_learns_with_haversine() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    radians = [np.deg2rad(places[:, ::-1]) for places in (KNOWN, ASKED[2:])]
    oracle = neighbors.KNeighborsRegressor(5, metric="haversine").fit(radians[0], TARGET)
    found = SphereNeighbours().fit_predict(KNOWN, TARGET, ASKED[2:], None, FOLDS)
    np.testing.assert_allclose(found, oracle.predict(radians[1]), rtol=1e-9)
    votes = SphereNeighbours().fit_predict(KNOWN, CODES, ASKED[2:], tuple("abcd"), FOLDS)
    oracle = neighbors.KNeighborsClassifier(5, metric="haversine").fit(radians[0], CODES)
    np.testing.assert_allclose(votes, oracle.predict_proba(radians[1]), atol=1e-8)


def test_the_nearer_decides_a_draw() -> None:
    known = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]])
    votes = SphereNeighbours(k=4).fit_predict(known, np.array([1, 0, 0, 1]), np.zeros((1, 2)), ("a", "b"), FOLDS[:4])
    assert votes.argmax() == 0
    votes = SphereNeighbours(k=2).fit_predict(known, np.array([1, 0, 0, 1]), np.zeros((1, 2)), ("a", "b"), FOLDS[:4])
    assert votes.argmax() == 1


def test_fewer_labels_than_neighbours_are_enough() -> None:
    for method in (InverseDistance(), SphereNeighbours()):
        assert isinstance(method, Predictor)
        assert method.fit_predict(KNOWN[:1], TARGET[:1], ASKED, None, FOLDS[:1]) == pytest.approx([TARGET[0]] * 6)


@pytest.mark.parametrize("method", [InverseDistance(), SphereNeighbours()])
def test_nothing_is_predicted_from_no_labels(method: Predictor) -> None:
    with pytest.raises(ValueError, match=f"{method.name} needs labels, got none"):
        method.fit_predict(KNOWN[:0], TARGET[:0], ASKED, None, FOLDS[:0])
