"""What the files in a run's folder say of it."""

from pathlib import Path

import pytest

from satclip.runs import outcome


def test_a_job_is_known_by_its_options(tmp_path: Path) -> None:
    assert not outcome.holds_job(tmp_path, ["seed=1"])
    outcome.begin_job(tmp_path, ["seed=1"])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert outcome.holds_job(tmp_path, ["seed=1"])
    with pytest.raises(ValueError, match=r"begun with `seed=1`, this one has `seed=2`; give another hydra\.sweep\.dir"):
        outcome.holds_job(tmp_path, ["seed=2"])


def test_a_run_that_no_multirun_began_is_not_taken_for_a_job(tmp_path: Path) -> None:
    outcome.finish(tmp_path, {"val/loss": 1.0})
    with pytest.raises(ValueError, match=r"no multirun began; give another hydra\.sweep\.dir, or remove"):
        outcome.holds_job(tmp_path, ["seed=1"])


def test_a_folder_is_free_until_a_run_has_left_something_to_lose(tmp_path: Path) -> None:
    (tmp_path / "train.log").touch()
    (tmp_path / "checkpoints").mkdir()
    outcome.refuse_another(tmp_path, None)
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    for elsewhere in (None, "last.ckpt", str(tmp_path.parent / "last.ckpt")):
        with pytest.raises(FileExistsError, match=r"best\.ckpt"):
            outcome.refuse_another(tmp_path, elsewhere)
    outcome.refuse_another(tmp_path, "auto")
    outcome.refuse_another(tmp_path, str(tmp_path / "checkpoints" / "best.ckpt"))
