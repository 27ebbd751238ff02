"""What inner folds choose is what a plain search with scikit-learn chooses."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from satclip.downstream.evaluate.answers import Candidate, Goal
from satclip.downstream.evaluate.inner_folds import InnerFolds, plain_folds
from satclip.downstream.evaluate.ridge import ALPHAS
from satclip.downstream.evaluate.ridge_probe import RidgeProbe

linear_model = pytest.importorskip("sklearn.linear_model")
SCALINGS = ("raw", "z-score", "min-max")


def data(columns: int, rows: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(columns)
    x = generator.normal(size=(rows, columns)) * np.logspace(-1, 1, columns) + 2
    y = x @ (generator.normal(size=columns) / np.logspace(-1, 1, columns)) + 3 * generator.normal(size=rows)
    return x, y, (y > np.median(y)).astype(np.int64) + (y > np.quantile(y, 0.8)).astype(np.int64)


def scales(x: np.ndarray, scaling: str) -> np.ndarray:
    if scaling == "raw":
        return np.full(x.shape[1], 1 / np.sqrt(x.var(0).mean()))
    return 1 / (x.std(0) if scaling == "z-score" else np.ptp(x, axis=0))


def search(x: np.ndarray, y: np.ndarray, folds: InnerFolds, penalties: dict) -> dict[tuple, float]:
    """Squared error over all inner folds by (alpha, scaling, beta), with a fresh scikit-learn ridge for each."""
    losses = {}
    for alpha, scaling, (beta, penalty) in product(ALPHAS, SCALINGS, penalties.items()):
        loss = 0.0
        for teach, held in folds:
            scale = scales(x[teach], scaling) / np.sqrt(1 if penalty is None else penalty)
            model = linear_model.Ridge(alpha=alpha, solver="svd").fit(x[teach] * scale, y[teach])
            loss += float(((model.predict(x[held] * scale) - y[held]) ** 2).sum())
        losses[float(alpha), scaling, beta] = loss
    return losses


@pytest.mark.parametrize("columns", [6, 70], ids=["few features", "many features"])
@pytest.mark.parametrize("buffered", [False, True], ids=["whole", "buffered"])
def test_the_choice_and_the_answer_are_those_of_a_plain_search(columns: int, buffered: bool) -> None:
    x, y, _ = data(columns)
    train, test = np.arange(90)[::-1].copy(), np.arange(90, 120)
    folds = plain_folds(np.arange(90) % 3)
    if buffered:  # some rows teach never while a fold is out, and some are never held out
        teaches = folds.teaches & (np.random.default_rng(0).uniform(size=(3, 90)) > 0.3)
        folds = InnerFolds(np.where(np.arange(90) % 7 == 0, -1, folds.fold), teaches, "given")
    penalties = {0.0: None, 2.0: np.linspace(1, 9, columns)}
    answer = RidgeProbe().answers([Candidate("x", x, penalties)], [Goal(y, None)], train, test, folds)[0]
    losses = search(x[train], y[train], folds, penalties)
    best = min(losses, key=lambda key: losses[key])
    chosen = (answer.choice.setting, answer.choice.scaling, answer.choice.beta)
    assert chosen == best
    penalty = penalties[best[2]]
    scale = scales(x[train], best[1]) / np.sqrt(1 if penalty is None else penalty)
    model = linear_model.Ridge(alpha=best[0], solver="svd").fit(x[train] * scale, y[train])
    np.testing.assert_allclose(answer.predicted, model.predict(x[test] * scale), rtol=1e-6)
    held = np.concatenate([train[rows] for _, rows in folds])
    expected = 1 - losses[best] / ((y[held] - y[train].mean()) ** 2).sum()
    assert answer.choice.inner_score == pytest.approx(expected, abs=1e-9)


def test_tasks_in_company_get_the_answers_they_get_alone() -> None:
    x, y, codes = data(10)
    goals = [Goal(y, None), Goal(codes, 3), Goal(y**2, None)]
    train, test, folds = np.arange(90), np.arange(90, 120), plain_folds(np.arange(90) % 3)
    candidates = [Candidate("x", x), Candidate("half", x[:, :5])]
    together = RidgeProbe().answers(candidates, goals, train, test, folds)
    for goal, answer in zip(goals, together, strict=True):
        alone = RidgeProbe().answers(candidates, [goal], train, test, folds)[0]
        # A product of more columns may round its last bit otherwise, as OpenBLAS of SciPy 1.18 does.
        same = replace(alone.choice, inner_score=answer.choice.inner_score)
        assert same == answer.choice
        assert alone.choice.inner_score == pytest.approx(answer.choice.inner_score, abs=1e-12)
        np.testing.assert_allclose(alone.predicted, answer.predicted, rtol=1e-9)
    assert together[0].predicted.shape == (30,)
    assert together[1].predicted.shape == (30, 3)


def test_the_better_features_are_chosen_by_the_inner_folds_alone() -> None:
    x, y, _ = data(6)
    noise = np.random.default_rng(9).normal(size=x.shape)
    spoiled = np.where(np.arange(120)[:, None] < 90, x, noise)  # good where labels are, useless where it is tested
    train, test, folds = np.arange(90), np.arange(90, 120), plain_folds(np.arange(90) % 3)
    answer = RidgeProbe().answers(
        [Candidate("noise", noise), Candidate("x", spoiled)], [Goal(y, None)], train, test, folds
    )
    assert answer[0].choice.candidate == "x"


def test_the_test_labels_teach_nothing() -> None:
    x, y, codes = data(6)
    train, test, folds = np.arange(90), np.arange(90, 120), plain_folds(np.arange(90) % 3)
    other = y.copy()
    other[test] = 1e6
    for left, right in (
        (Goal(y, None), Goal(other, None)),
        (Goal(codes, 3), Goal(np.where(np.arange(120) < 90, codes, 0), 3)),
    ):
        before, after = (RidgeProbe().answers([Candidate("x", x)], [g], train, test, folds)[0] for g in (left, right))
        np.testing.assert_array_equal(before.predicted, after.predicted)


def test_noise_is_given_the_strongest_penalty_and_the_edge_is_told() -> None:
    generator = np.random.default_rng(4)
    x, y = generator.normal(size=(90, 40)), np.repeat([1.0, -1.0], 45)
    folds = plain_folds(np.arange(90) % 3)
    grid = RidgeProbe(alphas=np.array([1e-4, 1e-3]))
    answer = grid.answers([Candidate("noise", x)], [Goal(y, None)], np.arange(90), np.arange(90), folds)[0]
    assert (answer.choice.setting, answer.choice.edge) == (1e-3, True)
    wide = RidgeProbe(alphas=10.0 ** np.arange(-4, 8)).answers(
        [Candidate("x", np.column_stack((x, y + generator.normal(size=90))))],
        [Goal(y, None)],
        np.arange(90),
        np.arange(9),
        folds,
    )[0]
    assert not wide.choice.edge


def test_a_diverged_embedding_is_named() -> None:
    x, y, _ = data(4)
    x[3, 1] = np.nan
    with pytest.raises(ValueError, match=r"broken: vectors of 1 of 90 places are NaN or infinite.*lower optimizer\.lr"):
        RidgeProbe().answers(
            [Candidate("broken", x)], [Goal(y, None)], np.arange(90), np.arange(90, 120), plain_folds(np.arange(90) % 3)
        )


def test_folds_that_leave_nothing_to_learn_from_are_refused() -> None:
    x, y, _ = data(4)
    alone = InnerFolds(np.zeros(90, dtype=np.int64), np.zeros((1, 90), dtype=bool), "given")
    with pytest.raises(ValueError, match="give the probe more labels"):
        RidgeProbe().answers([Candidate("x", x)], [Goal(y, None)], np.arange(90), np.arange(9), alone)


def test_a_fold_that_leaves_fewer_places_than_features_is_solved_like_any_other() -> None:
    x, y, _ = data(40)
    fold = np.where(np.arange(90) < 60, 0, 1 + np.arange(90) % 2)  # without fold 0, 30 places for 40 features
    train, test, folds = np.arange(90), np.arange(90, 120), plain_folds(fold)
    answer = RidgeProbe().answers([Candidate("x", x)], [Goal(y, None)], train, test, folds)[0]
    losses = search(x[train], y[train], folds, {0.0: None})
    best = min(losses, key=lambda key: losses[key])
    assert (answer.choice.setting, answer.choice.scaling) == best[:2]


def test_with_many_labels_the_first_fold_chooses_the_scaling_and_all_folds_the_penalty() -> None:
    x, y, codes = data(7)
    train, test, folds = np.arange(90), np.arange(90, 120), plain_folds(np.arange(90) % 3)
    penalties = {0.0: None, 2.0: np.linspace(1, 9, 7)}
    probe, candidate = RidgeProbe(many=90), Candidate("x", x, penalties)
    alone = probe.answers([candidate], [Goal(y, None)], train, test, folds)[0]
    only_first = InnerFolds(np.where(folds.fold == 0, 0, -1), folds.teaches[:1], "given")
    by_first = search(x[train], y[train], only_first, penalties)
    pair = min(by_first, key=lambda key: by_first[key])[1:]
    assert (alone.choice.scaling, alone.choice.beta) == pair
    every = search(x[train], y[train], folds, penalties)
    assert min(every, key=lambda key: every[key])[1:] != pair  # all folds together would have chosen another
    by_all = {key: loss for key, loss in every.items() if key[1:] == pair}
    best = min(by_all, key=lambda key: by_all[key])
    assert alone.choice.setting == best[0]
    spread = ((y[train] - y[train].mean()) ** 2).sum()
    assert alone.choice.inner_score == pytest.approx(1 - by_all[best] / spread, abs=1e-9)
    in_company = probe.answers([candidate], [Goal(codes, 3), Goal(y, None), Goal(-(y**2), None)], train, test, folds)[1]
    assert replace(in_company.choice, inner_score=0) == replace(alone.choice, inner_score=0)
    assert in_company.choice.inner_score == pytest.approx(alone.choice.inner_score, abs=1e-12)


def test_classes_that_no_training_row_has_change_no_answer() -> None:
    x, _, codes = data(6)
    train, test = np.arange(90), np.arange(90, 120)
    folds = plain_folds(np.arange(90) % 3)
    sparse, names = np.array([1, 3, 6])[codes], np.array([1, 3, 6])
    many = Goal(np.where(np.arange(120) < 90, sparse, 5), 8)  # what is tested has a class of its own
    wide, _ = RidgeProbe().answers([Candidate("x", x)], [many, Goal(codes, 3)], train, test, folds)
    (narrow,) = RidgeProbe().answers([Candidate("x", x)], [Goal(codes, 3)], train, test, folds)
    np.testing.assert_allclose(wide.predicted[:, names], narrow.predicted, rtol=1e-9)
    assert not np.delete(wide.predicted, names, axis=1).any()
    assert replace(wide.choice, inner_score=0) == replace(narrow.choice, inner_score=0)
    assert wide.choice.inner_score == pytest.approx(narrow.choice.inner_score, abs=1e-12)
