"""A shifted system by three diagonals is the system itself, also where rounding has made it a little indefinite."""

import threading
import time

import numpy as np
import pytest

from satclip.downstream.evaluate.tridiagonal import Tridiagonal


@pytest.mark.parametrize("size", [1, 2, 3, 65, 130])
def test_every_shift_is_solved_as_numpy_solves_it(size: int) -> None:
    generator = np.random.default_rng(size)
    rows, right = generator.normal(size=(size + 3, size)), generator.normal(size=(size, 4))
    matrix, shifts = rows.T @ rows, np.array([1e-4, 1.0, 1e7])
    axes = Tridiagonal.of(matrix)
    inside = axes.solved(shifts, axes.turned(right, back=True))
    for number, shift in enumerate(shifts):
        found = axes.turned(inside[number].T)
        np.testing.assert_allclose(found, np.linalg.solve(matrix + shift * np.eye(size), right), rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(axes.turned(axes.turned(right), back=True), right, atol=1e-12)


def test_an_eigenvalue_that_rounding_made_negative_counts_as_none() -> None:
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 5)))[0]
    matrix = turn @ np.diag([-2e-4, 1.0, 2.0, 3.0, 4.0]) @ turn.T
    axes, right = Tridiagonal.of(matrix), np.ones((5, 1))
    found = axes.turned(axes.solved(np.array([1e-4]), axes.turned(right, back=True))[0].T)
    values = np.array([0.0, 1.0, 2.0, 3.0, 4.0]) + 1e-4
    np.testing.assert_allclose(found, turn @ ((turn.T @ right) / values[:, None]), rtol=1e-6)


def test_other_threads_run_while_it_works() -> None:
    matrix = np.cov(np.random.default_rng(0).normal(size=(900, 1800)))
    ticks, done = [], threading.Event()

    def tick() -> None:
        while not done.is_set():
            ticks.append(time.monotonic())
            time.sleep(1e-4)

    thread = threading.Thread(target=tick)
    thread.start()
    begun = time.monotonic()
    Tridiagonal.of(matrix)
    ended = time.monotonic()
    done.set()
    thread.join()
    assert sum(begun < tick < ended for tick in ticks) > 3  # with the lock held there would be none
