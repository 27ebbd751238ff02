"""A labelled set is refused where it cannot be scored, with the rows that are wrong."""

import numpy as np
import pytest

from satclip.downstream.contract import Labels

PLACES = np.array([[0.0, 0.0], [10.0, 20.0], [350.0, -90.0]])


def test_a_set_keeps_what_it_is_given() -> None:
    labels = Labels("t", PLACES, np.array([1, 0, 1]), ("a", "b"), fixed_split=np.array([True, False, False]))
    part = labels.take(np.array([2, 0]))
    assert part.lonlat.tolist() == [[350.0, -90.0], [0.0, 0.0]]
    assert part.target.tolist() == [1, 1]
    assert part.fixed_split is not None
    assert part.fixed_split.tolist() == [False, True]
    assert (part.classes, part.cell_degrees, part.name) == (("a", "b"), (2.0, 10.0, 20.0, 40.0), "t")


@pytest.mark.parametrize(
    ("lonlat", "target", "classes", "message"),
    [
        (PLACES[:2], np.zeros(3), None, r"t: lonlat must be \[N, 2\] and target \[N\]"),
        (PLACES.T, np.zeros(2), None, r"lonlat must be \[N, 2\]"),
        (np.array([[0.0, 91.0], [0, 0], [np.nan, 0]]), np.zeros(3), None, r"2 of 3 rows are no .* \(rows 0, 2\)"),
        (PLACES, np.array([0, np.inf, np.nan]), None, r"2 of 3 rows have a NaN or infinite target; .* \(rows 1, 2\)"),
        (PLACES, np.array([0, 2, -1]), ("a", "b"), r"2 of 3 rows have a code outside 0 .. 1; .* \(rows 1, 2\)"),
        (PLACES, np.array([0.0, 1.0, 1.0]), ("a", "b"), "needs integer codes, got float64"),
    ],
)
def test_a_set_that_cannot_be_scored_is_refused(
    lonlat: np.ndarray, target: np.ndarray, classes: tuple[str, ...] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Labels("t", lonlat, target, classes)


def test_a_split_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="fixed_split must be"):
        Labels("t", PLACES, np.zeros(3), fixed_split=np.zeros(2, dtype=bool))
