"""RANGE's probe, kNN and the notebook's network."""

import numpy as np
import pytest
import torch

from satclip.downstream.evaluate.answers import Candidate, Goal
from satclip.downstream.evaluate.inner_folds import plain_folds
from satclip.downstream.evaluate.mlp_probe import MlpProbe
from satclip.downstream.evaluate.neighbours_probe import NeighboursProbe
from satclip.downstream.evaluate.range_probe import RangeProbe, range_split

linear_model = pytest.importorskip("sklearn.linear_model")
neighbors = pytest.importorskip("sklearn.neighbors")
preprocessing = pytest.importorskip("sklearn.preprocessing")
generator = np.random.default_rng(0)
X = generator.normal(size=(260, 8)) * np.logspace(-1, 2, 8)
Y = X @ (generator.normal(size=8) / np.logspace(-1, 2, 8)) + generator.normal(size=260)
CODES = np.digitize(Y, np.quantile(Y, [0.3, 0.6, 0.97]))
TRAIN, TEST = np.arange(200), np.arange(200, 260)
FOLDS = plain_folds(np.arange(200) % 3)


@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_range_regresses_as_ridge_cv_does(noise: float) -> None:
    y = Y + noise * np.random.default_rng(5).normal(size=260)
    scaler = preprocessing.MinMaxScaler().fit(X[TRAIN])
    oracle = linear_model.RidgeCV(alphas=(0.1, 1, 10), cv=3).fit(scaler.transform(X[TRAIN]), y[TRAIN])
    answer = RangeProbe().answers([Candidate("x", X)], [Goal(y, None)], TRAIN, TEST, FOLDS)[0]
    assert answer.choice.setting == oracle.alpha_
    np.testing.assert_allclose(answer.predicted, oracle.predict(scaler.transform(X[TEST])), rtol=1e-8)
    assert answer.choice.inner_score == pytest.approx(oracle.best_score_)
    assert answer.choice.edge == (oracle.alpha_ != 1)


@pytest.mark.parametrize("classes", [2, 4])
def test_range_classifies_as_ridge_classifier_cv_does(classes: int) -> None:
    codes = np.minimum(CODES, classes - 1)
    scaler = preprocessing.MinMaxScaler().fit(X[TRAIN])
    with pytest.warns(UserWarning, match="least populated") if classes == 4 else _nothing():
        oracle = linear_model.RidgeClassifierCV(alphas=(0.1, 1, 10), cv=10).fit(
            scaler.transform(X[TRAIN]), codes[TRAIN]
        )
    answer = RangeProbe().answers([Candidate("x", X)], [Goal(codes, classes)], TRAIN, TEST, FOLDS)[0]
    assert answer.choice.setting == oracle.alpha_
    assert answer.predicted.argmax(1).tolist() == oracle.predict(scaler.transform(X[TEST])).tolist()


def _nothing() -> object:
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("count", [10, 11, 14, 3076])
def test_ranges_split_is_that_of_random_split(count: int) -> None:
    parts = torch.utils.data.random_split(range(count), [0.8, 0.2], generator=torch.Generator().manual_seed(42))
    assert [part.tolist() for part in range_split(count)] == [list(part.indices) for part in parts]


def test_knn_answers_as_scikit_learn_does() -> None:
    probe = NeighboursProbe(counts=(5,), scalings=("z-score",))
    scaler = preprocessing.StandardScaler().fit(X[TRAIN])
    for goal, oracle in (
        (Goal(Y, None), neighbors.KNeighborsRegressor(5)),
        (Goal(CODES, 4), neighbors.KNeighborsClassifier(5)),
    ):
        oracle.fit(scaler.transform(X[TRAIN]), goal.truth[TRAIN])
        answer = probe.answers([Candidate("x", X)], [goal], TRAIN, TEST, FOLDS)[0]
        new = scaler.transform(X[TEST])
        expected = oracle.predict(new) if goal.classes is None else oracle.predict_proba(new)
        np.testing.assert_allclose(answer.predicted, expected, atol=1e-7)


def test_knn_takes_the_count_and_scaling_with_the_smallest_inner_loss() -> None:
    probe, losses = NeighboursProbe(), {}
    for scaling, scaler in (("raw", None), ("z-score", preprocessing.StandardScaler())):
        x = X[TRAIN] if scaler is None else scaler.fit_transform(X[TRAIN])
        for count in probe.counts:
            losses[count, scaling] = sum(
                ((neighbors.KNeighborsRegressor(count).fit(x[a], Y[a]).predict(x[b]) - Y[b]) ** 2).sum()
                for a, b in FOLDS
            )
    answer = probe.answers([Candidate("x", X)], [Goal(Y, None)], TRAIN, TEST, FOLDS)[0]
    assert (answer.choice.setting, answer.choice.scaling) == min(losses, key=lambda key: losses[key])


def test_knn_with_fewer_labels_than_neighbours_answers_the_mean() -> None:
    answer = NeighboursProbe(counts=(20,)).answers(
        [Candidate("x", X)], [Goal(Y, None)], TRAIN[:6], TEST, plain_folds(np.arange(6) % 2)
    )[0]
    np.testing.assert_allclose(answer.predicted, np.full(60, Y[:6].mean()))


def test_the_nearer_decides_a_draw_of_votes() -> None:
    line = np.array([[1.0], [2.0], [3.0], [4.0], [0.0]])
    for codes, winner in (([1, 0, 0, 1, 0], 1), ([0, 1, 1, 0, 0], 0)):
        answer = NeighboursProbe(counts=(2,)).answers(
            [Candidate("line", line)],
            [Goal(np.array(codes), 2)],
            np.arange(4),
            np.array([4]),
            plain_folds(np.arange(4) % 2),
        )[0]
        assert answer.predicted.argmax() == winner


def test_the_network_learns_what_no_line_can() -> None:
    x = np.random.default_rng(1).uniform(-2, 2, size=(400, 2))
    y = np.where(x[:, 0] * x[:, 1] > 0, 5.0, -5.0) + 100
    train, test, folds = np.arange(300), np.arange(300, 400), plain_folds(np.arange(300) % 3)
    probe = MlpProbe(steps=100, lr=2e-2)
    goals = [Goal(y, None), Goal((y > 100).astype(np.int64), 2)]
    numbers, classes = probe.answers([Candidate("x", x)], goals, train, test, folds)
    assert 1 - ((numbers.predicted - y[test]) ** 2).sum() / ((y[test] - y[test].mean()) ** 2).sum() > 0.8
    assert (classes.predicted.argmax(1) == (y[test] > 100)).mean() > 0.9
    assert numbers.choice.inner_score > 0.7
    line = linear_model.LinearRegression().fit(x[train], y[train])
    assert line.score(x[test], y[test]) < 0.2


def test_the_hidden_layers_of_the_network_are_two_and_training_leaves_random_numbers_alone() -> None:
    network = MlpProbe()._network(7, 3)
    shapes = [tuple(weight.shape) for weight in network.parameters() if weight.ndim == 2]
    assert shapes == [(64, 7), (64, 64), (3, 64)]
    probe, candidate, goal = MlpProbe(steps=5), Candidate("x", X), Goal(Y, None)
    torch.manual_seed(3)
    first = probe.fit_predict(candidate, goal, TRAIN, TEST)
    drawn = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(2))
    np.testing.assert_array_equal(first, probe.fit_predict(candidate, goal, TRAIN, TEST))
    assert not np.array_equal(first, MlpProbe(steps=5, seed=1).fit_predict(candidate, goal, TRAIN, TEST))


def test_the_better_features_are_taken_by_every_probe() -> None:
    noise = np.random.default_rng(9).normal(size=X.shape)
    for probe in (RangeProbe(), NeighboursProbe(), MlpProbe(steps=60, lr=2e-2)):
        answer = probe.answers([Candidate("noise", noise), Candidate("x", X)], [Goal(Y, None)], TRAIN, TEST, FOLDS)[0]
        assert answer.choice.candidate == "x", probe.name
