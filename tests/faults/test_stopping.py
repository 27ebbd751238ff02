"""A run that is told to stop saves within the step and resumes later as if nothing had been."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

Train = Callable[..., dict[str, float]]
Same = Callable[[Path, Path], None]
COMMON = ["epochs=3", "scheduler=cosine"]  # of five steps each


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture
def whole(whole_folder: Path, train: Train) -> Callable[..., Path]:
    """The run of these options that nothing befell, made once."""

    def run(*options: str) -> Path:
        folder = whole_folder / "-".join(options).replace("=", "-")
        if not (folder / "metrics.json").exists():
            train(folder, *COMMON, *options)
        return folder

    return run


@pytest.fixture
def stop(train: Train, tmp_path: Path) -> Callable[..., None]:
    """Run, or resume, until a signal comes at "STEP step" or in the validation after it, "STEP validation"."""

    def stopped(when: str, *options: str) -> None:
        step, moment = when.split()
        hurt = f"+callbacks.hurt={{_target_: injections.SignalAt, step: {step}, moment: {moment}}}"
        with pytest.raises(SystemExit) as error:
            train(tmp_path, *COMMON, *options, hurt, "ckpt_path=auto")
        assert error.value.code == 128 + signal.SIGTERM
        assert torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == int(step)
        assert not (tmp_path / "metrics.json").exists()

    return stopped


@pytest.fixture
def finish(train: Train, tmp_path: Path, whole: Callable[..., Path], assert_same_run: Same) -> Callable[..., None]:
    """Go on to the end, which must be that of a run that nothing befell."""

    def finished(*options: str) -> None:
        train(tmp_path, *COMMON, *options, "ckpt_path=auto")
        assert_same_run(tmp_path, whole(*options))

    return finished


def test_small_runs_have_five_steps_an_epoch(whole: Callable[..., Path]) -> None:
    checkpoint = torch.load(whole() / "checkpoints" / "last.ckpt", weights_only=True)
    assert (checkpoint["global_step"], checkpoint["epoch"]) == (15, 2)


@pytest.mark.parametrize(
    ("options", "moments"),
    [
        ([], ["1 step"]),
        ([], ["7 step"]),
        ([], ["15 step"]),
        ([], ["15 validation"]),
        ([], ["5 step", "10 step"]),
        ([], ["5 validation", "10 validation"]),
        (["trainer.max_steps=12"], ["7 step"]),
        (["trainer.max_steps=12"], ["5 validation", "10 step", "12 step"]),
        (["trainer.max_steps=10"], ["10 step"]),
        (["trainer.max_steps=15"], ["15 validation"]),
    ],
    ids=" ".join,
)
def test_stopped_at_any_moment_it_goes_on_bit_for_bit(
    options: list[str], moments: list[str], stop: Callable[..., None], finish: Callable[..., None], tmp_path: Path
) -> None:
    for moment in moments:
        stop(moment, *options)
    finish(*options)
    assert (tmp_path / "metrics.json").is_file()


@pytest.mark.parametrize("option", [[], ["trainer.max_steps=10"]], ids=["epochs", "steps"])
def test_a_validation_is_made_up_for_once(
    option: list[str], stop: Callable[..., None], train: Train, finish: Callable[..., None], tmp_path: Path
) -> None:
    stop("10 step", *option)
    with pytest.raises(RuntimeError, match="hurt at the start"):
        train(tmp_path, *COMMON, *option, "+callbacks.hurt={_target_: injections.FailAtStart}", "ckpt_path=auto")
    finish(*option)


def test_a_run_that_has_done_its_steps_goes_on_when_it_is_given_more(
    stop: Callable[..., None], train: Train, finish: Callable[..., None], tmp_path: Path
) -> None:
    constant = "scheduler=constant"  # one that looks at the length of the training would have gone another way
    stop("10 step", constant, "trainer.max_steps=10")
    train(tmp_path, *COMMON, constant, "trainer.max_steps=10", "ckpt_path=auto")
    finish(constant)
