"""A run that is told to stop saves within the step and goes on later as if nothing had been."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

Train = Callable[..., dict[str, float]]
COMMON = ["epochs=3", "scheduler=cosine"]  # of five steps each


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def whole(whole_folder: Path, train: Train) -> Path:
    """A run that nothing interrupted, made once."""
    if not (whole_folder / "metrics.json").exists():
        train(whole_folder, *COMMON)
    return whole_folder


def test_small_runs_have_five_steps_an_epoch(whole: Path) -> None:
    checkpoint = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    assert (checkpoint["global_step"], checkpoint["epoch"]) == (15, 2)


@pytest.mark.parametrize(
    "moments",
    [["1 step"], ["7 step"], ["15 step"], ["15 validation"], ["5 step", "10 step"], ["5 validation", "10 validation"]],
    ids=" ".join,
)
def test_stopped_at_any_moment_it_goes_on_bit_for_bit(
    moments: list[str], whole: Path, train: Train, tmp_path: Path, assert_same_run: Callable[[Path, Path], None]
) -> None:
    for step, moment in map(str.split, moments):
        hurt = f"+callbacks.hurt={{_target_: injections.SignalAt, step: {step}, moment: {moment}}}"
        with pytest.raises(SystemExit) as stopped:
            train(tmp_path, *COMMON, hurt, "ckpt_path=auto")
        assert stopped.value.code == 128 + signal.SIGTERM
        assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == int(step)
        assert not (tmp_path / "metrics.json").exists()
    train(tmp_path, *COMMON, "ckpt_path=auto")
    assert_same_run(tmp_path, whole)
    assert (tmp_path / "metrics.json").is_file()
