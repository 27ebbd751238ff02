"""The ridge solver against scikit-learn and against the normal equations."""

import numpy as np
import pytest

from satclip.downstream.evaluate.ridge import ALPHAS, Moments, Ridge, Solved, one_hot

linear_model = pytest.importorskip("sklearn.linear_model")
preprocessing = pytest.importorskip("sklearn.preprocessing")


def data(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(columns)
    x = generator.normal(size=(rows, columns)) * np.logspace(-2, 2, columns) + 50
    y = (x - 50) / np.logspace(-2, 2, columns) @ generator.normal(size=(columns, 2)) + 7
    return x, y + generator.normal(size=(rows, 2))


SCALERS = {"z-score": preprocessing.StandardScaler, "min-max": preprocessing.MinMaxScaler}


@pytest.mark.parametrize("columns", [5, 90])
@pytest.mark.parametrize("scaling", ["z-score", "min-max"])
def test_every_penalty_predicts_what_scikit_learn_predicts(columns: int, scaling: str) -> None:
    x, y = data(80, columns)
    train, test = slice(60), slice(60, None)
    scaler = SCALERS[scaling]().fit(x[train])
    found = Ridge.fit(x[train], y[train], scaling).predict(x[test], ALPHAS[::4])
    for alpha, guess in zip(ALPHAS[::4], found, strict=True):
        oracle = linear_model.Ridge(alpha=alpha, solver="svd").fit(scaler.transform(x[train]), y[train])
        np.testing.assert_allclose(guess, oracle.predict(scaler.transform(x[test])), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("columns", [5, 90])
def test_raw_columns_keep_their_relative_size_and_have_unit_variance_on_average(columns: int) -> None:
    x, y = data(60, columns)
    common = np.sqrt(x.var(0).mean())
    oracle = linear_model.Ridge(alpha=3.0 * common**2, solver="svd").fit(x, y)
    found = Ridge.fit(x, y, "raw").predict(x[:10], [3.0])[0]
    np.testing.assert_allclose(found, oracle.predict(x[:10]), rtol=1e-6)


@pytest.mark.parametrize("columns", [6, 40])
def test_a_column_penalty_solves_its_own_normal_equations(columns: int) -> None:
    x, y = data(30, columns)
    penalty = np.linspace(1, 50, columns)
    scale = 1 / x.std(0)
    z, centred = (x - x.mean(0)) * scale, y - y.mean(0)
    expected = np.linalg.solve(z.T @ z + 2.0 * np.diag(penalty), z.T @ centred)
    ridge = Ridge.fit(x, y, "z-score", penalty)
    np.testing.assert_allclose(ridge.weights([2.0])[0], scale[:, None] * expected, rtol=1e-7, atol=1e-9)


def test_both_routes_of_a_prediction_agree() -> None:
    x, y = data(50, 12)
    ridge = Ridge.fit(x, y, "z-score")
    new = np.random.default_rng(3).normal(50, 5, size=(200, 12))
    together = ridge.predict(new, ALPHAS)  # 200 rows against 46 columns: coefficients first
    by_three = np.concatenate([ridge.predict(new[start : start + 3], ALPHAS) for start in range(0, 200, 3)], axis=1)
    np.testing.assert_allclose(together, by_three, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ridge.part(np.array([1])).predict(new, ALPHAS)[..., 0], together[..., 1], rtol=1e-9)


def test_sums_of_parts_are_the_sum_of_the_whole() -> None:
    x, y = data(40, 4)
    whole, parts = Moments.of(x, y), Moments.of(x[:15], y[:15]) + Moments.of(x[15:], y[15:])
    for name in ("count", "total", "square", "cross", "target", "low", "high", "diagonal"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)


def test_a_constant_column_says_nothing_and_does_no_harm() -> None:
    x, y = data(40, 4)
    wide = np.column_stack((x, np.full(40, 3.7), np.zeros(40), np.full(40, 1e9)))
    for scaling in ("raw", "z-score", "min-max"):
        np.testing.assert_allclose(
            Ridge.fit(wide, y, scaling).predict(wide, [0.5]), Ridge.fit(x, y, scaling).predict(x, [0.5]), rtol=1e-9
        )


def test_an_unknown_scaling_is_refused() -> None:
    x, y = data(10, 2)
    with pytest.raises(ValueError, match="must be none or one of raw, z-score, min-max, got 'log'"):
        Ridge.fit(x, y, "log")


def test_the_primal_problem_needs_the_gram_matrix() -> None:
    x, y = data(10, 2)
    with pytest.raises(ValueError, match="gram=True"):
        Ridge.primal(Moments.of(x, y, gram=False), np.ones(2))


def test_codes_become_columns() -> None:
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("columns", [5, 300])
def test_one_penalty_alone_is_solved_as_among_all(columns: int) -> None:
    generator = np.random.default_rng(columns)
    x, y = generator.normal(size=(80, columns)) + 2, generator.normal(size=(80, 3))
    scale = 1 / x.std(0)
    for alpha in ALPHAS[::3]:
        if columns < 80:
            moments = Moments.of(x, y)
            alone, among = Solved.primal(moments, scale, alpha), Ridge.primal(moments, scale)
        else:
            alone, among = Solved.dual(x, y, scale, alpha), Ridge.dual(x, y, scale)
        np.testing.assert_allclose(alone.predict(x[:9]), among.predict(x[:9], [alpha])[0], rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(alone.weights, among.weights([alpha])[0], rtol=1e-6, atol=1e-9)
    with pytest.raises(ValueError, match="gram=True"):
        Solved.primal(Moments.of(x, y, gram=False), scale, 1.0)
