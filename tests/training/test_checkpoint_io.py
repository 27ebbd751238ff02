"""A checkpoint is whole or not there."""

import errno
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.training.checkpoint_io import AtomicCheckpointIO, plain


class Unwritable:
    """Fails in the middle of being pickled, as a full disk would."""

    def __reduce__(self) -> Any:
        raise OSError(28, "No space left on device")


def test_a_save_that_fails_leaves_the_previous_checkpoint_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.arange(1000)}, path)
    before = path.read_bytes()
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"weights": torch.arange(1000), "then": Unwritable()}, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("largest", [500, 50_000], ids="{} numbers a tensor".format)
@pytest.mark.parametrize("room", [0, 3_000, 30_000, 250_000])
def test_a_full_disk_is_called_that_wherever_it_ends(
    largest: int, room: int, tmp_path: Path, file_size_limit: Any
) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.arange(1000)}, path)
    before = path.read_bytes()
    tensors = [torch.zeros(largest) for _ in range(100_000 // largest)]
    with file_size_limit(room), pytest.raises(OSError, match="File too large") as full:
        AtomicCheckpointIO().save_checkpoint({"weights": tensors}, path)
    assert full.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_save_makes_its_folder_and_loads_as_plain_weights(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.arange(3)}, path)
    assert torch.load(path, weights_only=True)["weights"].tolist() == [0, 1, 2]


def test_a_config_becomes_plain_values() -> None:
    assert plain({"a": (1, 2.5), "b": {"c": Path("x")}, 3: None}) == {"a": [1, 2.5], "b": {"c": "x"}, "3": None}


class Order:
    """Runs a command when it is unpickled by anything that runs commands."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("asked", [None, False, True])
def test_resuming_runs_nothing_out_of_a_checkpoint_whoever_asks(asked: bool | None, tmp_path: Path) -> None:
    path, done = tmp_path / "last.ckpt", tmp_path / "done"
    torch.save({"weights": torch.arange(3), "then": Order(done)}, path)
    with pytest.raises(pickle.UnpicklingError, match=r"posix\.system"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=asked)
    assert not done.exists()
    torch.save({"weights": torch.arange(3)}, path)
    assert torch.equal(AtomicCheckpointIO().load_checkpoint(path)["weights"], torch.arange(3))
