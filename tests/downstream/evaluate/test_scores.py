"""Scores against scikit-learn, whole and resampled."""

import numpy as np
import pytest

from satclip.downstream.evaluate.scores import Sums, absent_classes, accuracy, macro_f1, r_squared

metrics = pytest.importorskip("sklearn.metrics")


def regression() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    truth = 1e4 + generator.normal(size=80)
    return truth + generator.normal(size=80), truth, generator.integers(0, 9, 80)


def test_r2_is_scikit_learns() -> None:
    guess, truth, groups = regression()
    assert r_squared(guess, truth) == pytest.approx(metrics.r2_score(truth, guess), abs=1e-9)
    assert Sums.of(guess, truth, groups, regression=True).score()[0] == pytest.approx(r_squared(guess, truth))


def test_a_resampled_score_is_the_score_of_the_resampled_places() -> None:
    guess, truth, groups = regression()
    times = np.array([0, 2, 1, 0, 3, 1, 1, 0, 1])
    rows = np.concatenate([np.tile(np.flatnonzero(groups == group), times[group]) for group in range(9)])
    sums = Sums.of(guess, truth, groups, regression=True)
    expected = metrics.r2_score(truth[rows], guess[rows])
    assert sums.score(times[None].astype(float))[0] == pytest.approx(expected, abs=1e-9)
    codes, scores = groups % 3, np.random.default_rng(1).uniform(size=(80, 3))
    right = Sums.of(scores, codes, groups, regression=False).score(times[None].astype(float))[0]
    assert right == pytest.approx(metrics.accuracy_score(codes[rows], scores.argmax(1)[rows]))


def test_r2_is_floored_where_asked_and_unknown_where_all_truths_are_equal() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert r_squared(10 * truth, truth) < -100
    assert r_squared(10 * truth, truth, floor=-1.0) == -1
    assert np.isnan(r_squared(truth, np.full(3, 0.1)))
    assert np.isnan(Sums.of(truth, truth, np.arange(3), regression=True).score(np.zeros((1, 3)))[0])
    assert np.isnan(Sums.of(truth, truth, np.arange(3), regression=True).score(np.array([[2.0, 0, 0]]), floor=-1.0)[0])


def test_macro_f1_and_accuracy_are_scikit_learns() -> None:
    generator = np.random.default_rng(2)
    truth, scores = generator.integers(0, 5, 60), generator.uniform(size=(60, 7))
    truth[truth == 3] = 0  # asked never
    scores[:, 6] = 0  # answered never and asked never: counts for nothing
    answer = scores.argmax(1)
    assert accuracy(scores, truth) == pytest.approx(metrics.accuracy_score(truth, answer))
    assert macro_f1(scores, truth) == pytest.approx(metrics.f1_score(truth, answer, average="macro", zero_division=0))


def test_a_class_that_was_never_taught_is_named() -> None:
    assert absent_classes(np.array([0, 0, 2]), np.array([1, 2, 3, 1]), ("a", "b", "c", "d")) == ("b", "d")
    assert absent_classes(np.array([0, 1]), np.array([1]), ("a", "b", "never")) == ()
