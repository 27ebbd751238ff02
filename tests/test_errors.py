"""What was written for a person is told from what went wrong by accident."""

import importlib.util
from pathlib import Path

import pytest

from satclip import errors
from satclip.runs import run

OURS = """
def on_purpose(): raise ValueError("give another")
def from_another():
    try: int("x")
    except ValueError as error: raise ValueError("give a number") from error
def again():
    try: on_purpose()
    except ValueError: raise
def unequal(): list(zip([1], [1, 2], strict=True))
def no_number(): int("x")
def no_file(): open("/no/such/file")
def no_key(): {}["a"]
"""


@pytest.mark.parametrize(
    ("name", "purpose"),
    [
        ("on_purpose", True), ("from_another", True), ("again", True), ("unequal", False), ("no_number", False),
        ("no_file", False), ("no_key", False),
    ],
)  # fmt: skip
def test_only_a_raise_statement_of_ours_speaks_to_a_person(
    name: str, purpose: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours.py").write_text(OURS)
    specification = importlib.util.spec_from_file_location("ours", tmp_path / "ours.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(errors, "PACKAGE", str(tmp_path))
    with pytest.raises((ValueError, OSError, KeyError)) as caught:
        getattr(module, name)()
    assert errors.is_raised_on_purpose(caught.value) is purpose
    assert (run.explain(caught.value) is not None) is purpose


def test_a_message_of_another_package_is_a_defect_and_no_memory_is_not() -> None:
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("x")
    assert run.explain(caught.value) is None
    assert "smaller dataset.batch_size" in str(run.explain(MemoryError()))
