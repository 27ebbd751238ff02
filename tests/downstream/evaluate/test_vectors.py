"""Vectors are computed once per encoder and places, and never confused."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from satclip.downstream.evaluate import vectors as vectors_module
from satclip.downstream.evaluate.vectors import VectorCache

PLACES = np.array([[0.0, 0.0], [10.0, 20.0], [-30.0, 40.0]])


class Counting:
    name, seen = "counting", "nothing"

    def __init__(self, factor: float = 1.0, fingerprint: str | None = None) -> None:
        self.calls, self.factor = 0, factor
        if fingerprint is not None:
            self.fingerprint = fingerprint

    def __call__(self, lonlat: np.ndarray) -> np.ndarray:
        self.calls += 1
        return (self.factor * lonlat).astype(np.float32)


def test_an_encoder_is_asked_once_for_the_same_places() -> None:
    cache, encoder = VectorCache(), Counting()
    for _ in range(3):
        np.testing.assert_array_equal(cache(encoder, PLACES.copy()), PLACES)
    assert encoder.calls == 1
    np.testing.assert_array_equal(cache(encoder, PLACES[:2]), PLACES[:2])
    assert encoder.calls == 2
    cache.forget()
    cache(encoder, PLACES)
    assert encoder.calls == 3


def test_two_encoders_are_never_confused(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    for fingerprints in ((None, None), ("a", "b")):
        for factor, fingerprint in zip((1.0, 2.0), fingerprints, strict=True):
            np.testing.assert_array_equal(cache(Counting(factor, fingerprint), PLACES), factor * PLACES)


def test_what_an_encoder_gave_cannot_be_changed_by_a_probe() -> None:
    vectors = VectorCache()(Counting(), PLACES)
    with pytest.raises(ValueError, match="read-only"):
        vectors[0] = 0


def test_vectors_outlive_the_process_where_a_fingerprint_says_what_they_are(tmp_path: Path) -> None:
    first = Counting(fingerprint="weights")
    VectorCache(tmp_path / "new")(first, PLACES)
    again, nameless = Counting(fingerprint="weights"), Counting()
    found = VectorCache(tmp_path / "new")(again, PLACES)
    assert (again.calls, found.dtype) == (0, np.float32)
    VectorCache(tmp_path / "new")(nameless, PLACES)
    assert nameless.calls == 1
    assert len(list((tmp_path / "new").iterdir())) == 1  # no leftovers of writing either


@pytest.mark.parametrize("damage", [b"", b"no array", None])
def test_a_damaged_file_is_computed_anew_and_replaced(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    VectorCache(tmp_path)(Counting(fingerprint="weights"), PLACES)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-4] if damage is None else damage)
    again = Counting(fingerprint="weights")
    np.testing.assert_array_equal(VectorCache(tmp_path)(again, PLACES), PLACES)
    assert again.calls == 1
    assert "ignoring unreadable vectors" in caplog.text
    third = Counting(fingerprint="weights")
    VectorCache(tmp_path)(third, PLACES)
    assert third.calls == 0


def test_the_folder_holds_no_more_than_it_may_and_loses_what_was_used_longest_ago(tmp_path: Path) -> None:
    one = PLACES.astype(np.float32).nbytes + 128  # the header of the file
    for number, name in enumerate("abc"):
        VectorCache(tmp_path, 2 * one)(Counting(fingerprint=name), PLACES)
        for path in tmp_path.iterdir():  # what was written before lies further back
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
        if number == 1:
            VectorCache(tmp_path, 2 * one)(Counting(fingerprint="a"), PLACES)  # used again: now b is the oldest
    assert len(list(tmp_path.iterdir())) == 2
    asked = {name: Counting(fingerprint=name) for name in "acb"}
    for encoder in asked.values():
        VectorCache(tmp_path, 2 * one)(encoder, PLACES)
    assert {name: encoder.calls for name, encoder in asked.items()} == {"a": 0, "c": 0, "b": 1}


def test_vectors_of_other_code_are_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    VectorCache(tmp_path)(Counting(fingerprint="weights"), PLACES)
    monkeypatch.setattr(vectors_module, "_code", lambda: "another version")
    again = Counting(fingerprint="weights")
    VectorCache(tmp_path)(again, PLACES)
    assert again.calls == 1


def test_two_users_of_one_folder_do_not_hinder_each_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def use(seed: int) -> None:
        for number in np.random.default_rng(seed).integers(0, 6, 40).tolist():
            cache = VectorCache(tmp_path, 400)  # room for two, so that each takes away what the other has just written
            found = cache(Counting(float(number), f"weights {number}"), PLACES)
            np.testing.assert_array_equal(found, (number * PLACES).astype(np.float32))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(4)))
    assert not caplog.text


def test_a_folder_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    np.testing.assert_array_equal(VectorCache(tmp_path / "file")(Counting(fingerprint="w"), PLACES), PLACES)
    assert "vectors are not kept in" in caplog.text


class Giving:
    name, seen = "giving", "nothing"

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def __call__(self, lonlat: np.ndarray) -> np.ndarray:
        return self.vectors


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((2, 4)), r"giving: 3 places must give float \[3, D\], got float64 \(2, 4\)"),
        (np.zeros(3), r"must give float \[3, D\]"),
        (np.zeros((3, 2), dtype=np.int64), r"must give float \[3, D\], got int64"),
        (np.array([[1.0], [np.nan], [np.inf]]), r"giving: vectors of 2 of 3 places are NaN or infinite"),
    ],
)
def test_an_encoder_that_gives_no_vectors_is_named(vectors: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VectorCache()(Giving(vectors), PLACES)


ASKED_AGAIN = """
import sys
from pathlib import Path
import numpy as np
from satclip.downstream.evaluate.vectors import VectorCache

places = np.array([[0.0, 0.0], [10.0, 20.0], [-30.0, 40.0]])

class Times:
    seen = "nothing"
    def __init__(self, factor):
        self.name = self.fingerprint = f"times {factor}"
        self.factor = factor
    def __call__(self, lonlat):
        return self.factor * lonlat

for number in range(300):
    factor = number % 7
    assert (VectorCache(Path(sys.argv[1]), 400)(Times(factor), places) == factor * places).all()
"""


def test_two_processes_share_a_folder_that_holds_too_little_for_both(tmp_path: Path) -> None:
    both = [
        subprocess.Popen([sys.executable, "-c", ASKED_AGAIN, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=120)
        assert (process.returncode, said) == (0, "")
    kept = list(tmp_path.iterdir())
    assert {path.suffix for path in kept} == {".npy"}
    assert 0 < sum(path.stat().st_size for path in kept) <= 2 * 400
