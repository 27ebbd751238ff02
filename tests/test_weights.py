from pathlib import Path

import pytest
import torch

from satclip.weights import check_fit, mismatches, read_torch_file


@pytest.mark.parametrize("content", [b"", b"hello", b"lon,lat\n1,2\n", bytes(range(256)), b"PK\x03\x04 cut short"])
def test_a_file_of_another_kind_is_refused_whatever_it_holds(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.ckpt is not a readable file of tensors .* that torch.save wrote"):
        read_torch_file(path)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.ckpt"
    torch.save({"weight": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"cut\.ckpt is not a readable file"):
        read_torch_file(path)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "object.ckpt"
    torch.save({"weight": Path("/")}, path)
    with pytest.raises(ValueError, match=r"not a readable file .*Unsupported global: GLOBAL pathlib") as refusal:
        read_torch_file(path)
    assert "weights_only" not in str(refusal.value)  # torch's advice to load it all the same


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*nowhere\.ckpt"):
        read_torch_file(tmp_path / "nowhere.ckpt")


def test_everything_that_does_not_fit_is_named() -> None:
    mine = {"a": torch.zeros(2), "b": torch.zeros(3)}
    theirs = {"b": torch.zeros(3, 1), "c": torch.zeros(1)}
    assert mismatches(mine, theirs) == ["a is missing", "c is not part of the model", "b has shape [3, 1], not [3]"]
    assert mismatches(mine, mine) == []


def test_many_names_are_counted_rather_than_listed() -> None:
    mine = {str(number): torch.zeros(1) for number in range(10)}
    with pytest.raises(ValueError, match=r"the file does not fit: 0 is missing; .*; and 4 more\. Do that"):
        check_fit(mine, {}, source="the file", remedy="Do that")
