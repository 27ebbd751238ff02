"""Somebody's own function: whatever it gives or raises ends in vectors that can be scored, or in one line."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from satclip.downstream.evaluate.vectors import VectorCache
from satclip.downstream.rivals import source
from satclip.downstream.rivals.function import Function

CODE = """
import numpy as np
import torch

def plain(p): return np.sin(np.radians(p)) + 2
def listed(p): return plain(p).tolist()
def half(p): return plain(p).astype(np.float16)
def tensor(p): return torch.from_numpy(plain(p)).requires_grad_()
def brain(p): return torch.from_numpy(plain(p)).bfloat16()
def fewer(p): return plain(p)[:-1]
def flat(p): return plain(p)[:, 0]
def none(p): return None
def nothing(p): return np.zeros((len(p), 0))
def whole(p): return plain(p).astype(int)
def ragged(p): return [[1.0]] * (len(p) - 1) + [[1.0, 2.0]]
def hole(p): return np.where(np.arange(len(p))[:, None] == 3, np.nan, plain(p))
def raises(p): raise KeyError("no tile\\nhere")
def huge(p): return plain(p) * 1e200
def company(p): return plain(p) - plain(p).mean(0)
def chance(p): return np.random.default_rng().normal(size=(len(p), 3))
def two(a, b): return a
class Needs:
    def __init__(self, path): pass
class Always:
    def __call__(self, p): return plain(p)
"""
PLACES = np.random.default_rng(0).uniform((-180, -90), (180, 90), (40, 2))


def vectors(name: str) -> NDArray[np.floating]:
    row = source(name)
    assert isinstance(row, Function)
    return VectorCache()(row, PLACES)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"theirs_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.mark.parametrize("name", ["plain", "listed", "half", "tensor", "brain", "Always"])
def test_every_kind_of_array_is_taken(module: str, name: str) -> None:
    np.testing.assert_allclose(vectors(f"{module}:{name}"), np.sin(np.radians(PLACES)) + 2, atol=0.02)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fewer", r"gave float64 \[39, 2\] for 40 places; it must return floats"),
        ("flat", r"gave float64 \[40\] for 40 places"),
        ("none", "it must return floats"),
        ("nothing", r"gave float64 \[40, 0\] for 40 places"),
        ("whole", "gave int64"),
        ("ragged", "ragged raised ValueError: .*; mend it"),
        ("hole", "NaN or infinite numbers for 1 of 40 places, the first at longitude .*; mend it"),
        ("raises", r"raises raised KeyError: 'no tile\\nhere' \(theirs_.*\.py, line \d+\); mend it"),
        ("huge", "whose square is none; bring the vectors near 1"),
        ("company", "gives other vectors for the same places when they come alone; they must depend on the place"),
        ("chance", "gives other vectors for the same places"),
        ("two", "raised TypeError: .*missing 1 required positional argument"),
        ("Needs", "Needs raised TypeError: .*; mend it"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(module: str, name: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as told:
        vectors(f"{module}:{name}")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "why"), [("import nosuchmodule", "No module named 'nosuchmodule'"), ("def f(:", "SyntaxError")]
)
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, why: str
) -> None:
    name = f"broken_{len(text)}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{name} raised .*{why}"):
        source(f"{name}:f")
