"""The ridge probe against scikit-learn and against data whose answer is known."""

import numpy as np
import pytest
import torch

from satclip.downstream.ridge import PENALTIES, Ridge, accuracy, probe, r_squared


def data(rows: int = 400, columns: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(rows, columns, generator=generator, dtype=torch.float64) * torch.logspace(-2, 3, columns) + 7
    targets = features / torch.logspace(-2, 3, columns) @ torch.randn(columns, 3, generator=generator).double()
    return features, targets + torch.randn(rows, 3, generator=generator, dtype=torch.float64)


def parts(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    number = torch.arange(rows)
    return number % 5 == 0, number % 5 == 1


@pytest.mark.parametrize("penalty", [1e-7, 0.03, 10.0])
def test_predictions_are_those_of_scikit_learn(penalty: float) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    features, targets = data()
    fit, new = features[:300], features[300:]
    mean, scale = fit.mean(0), fit.std(0, correction=0)
    expected = linear_model.Ridge(alpha=penalty * 300).fit((fit - mean) / scale, targets[:300])
    ridge = Ridge.fit(fit, targets[:300])
    found = ridge.predict(ridge.project(new), penalty)
    np.testing.assert_allclose(found, expected.predict((new - mean) / scale), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ridge.predict(ridge.project(new), penalty, slice(1, 3)), found[:, 1:])


def test_a_score_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(50, generator=generator, dtype=torch.float64)
    guess = truth + torch.randn(50, generator=generator, dtype=torch.float64)
    assert r_squared(guess[:, None], truth) == pytest.approx(metrics.r2_score(truth, guess))
    assert accuracy(torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]]), torch.tensor([1, 0, 0, 1])) == 0.5


def test_what_is_linear_is_found_and_noise_is_not() -> None:
    features, _ = data()
    test, held = parts(400)
    linear = features @ torch.linspace(-1, 1, 12, dtype=torch.float64)
    noise = torch.randn(400, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    halves = (features[:, 3] > 7).long()
    scores = probe(features, [linear, noise, halves], test, held)
    assert scores[0] > 0.999999
    assert scores[1] < 0.1
    assert scores[2] > 0.9


def test_each_task_scores_the_same_alone_and_in_company() -> None:
    features, targets = data()
    test, held = parts(400)
    labels = [targets[:, 0], (targets[:, 1] > 0).long(), targets[:, 2]]
    together = probe(features, labels, test, held)
    for label, score in zip(labels, together, strict=True):
        assert probe(features, [label], test, held)[0] == pytest.approx(score, abs=1e-12)


def test_the_test_places_teach_nothing() -> None:
    features, targets = data()
    test, held = parts(400)
    label = (targets[:, 0] > 0).long()
    flipped = torch.where(test, 1 - label, label)
    honest, reversed_ = (probe(features, [y], test, held)[0] for y in (label, flipped))
    assert honest > 0.75
    assert reversed_ == pytest.approx(1 - honest)


def test_the_penalty_is_the_one_that_suits_the_held_places() -> None:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(150, 100, generator=generator, dtype=torch.float64)
    label = features[:, 0] + 2 * torch.randn(150, generator=generator, dtype=torch.float64)
    test, held = parts(150)
    ridge = Ridge.fit(features[~test & ~held], label[~test & ~held, None])
    projected = ridge.project(features[held])
    best = max(PENALTIES, key=lambda penalty: r_squared(ridge.predict(projected, penalty), label[held]))
    assert PENALTIES[0] < best
    final = Ridge.fit(features[~test], label[~test, None])
    expected = r_squared(final.predict(final.project(features[test]), best), label[test])
    assert probe(features, [label], test, held)[0] == pytest.approx(expected)


def test_constant_and_doubled_features_and_more_features_than_places_do_no_harm() -> None:
    features, targets = data(60)
    test, held = parts(60)
    wide = torch.cat([features, features, torch.full((60, 2), 3.7).double(), torch.zeros(60, 60).double()], dim=1)
    score = probe(wide, [targets[:, 0]], test, held)[0]
    assert np.isfinite(score)
    assert score > 0.5


def test_a_diverged_embedding_is_told() -> None:
    features, targets = data(40)
    features[3, 2] = torch.nan
    with pytest.raises(ValueError, match=r"diverged; lower optimizer\.lr"):
        probe(features, [targets[:, 0]], *parts(40))


def test_an_empty_part_is_refused() -> None:
    features, targets = data(20)
    nothing = torch.zeros(20, dtype=torch.bool)
    with pytest.raises(ValueError, match="test and penalty part; give the probe more places"):
        probe(features, [targets[:, 0]], nothing, nothing)
