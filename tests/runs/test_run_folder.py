"""What the files in a run's folder say of it."""

from pathlib import Path

import pytest

from satclip.runs import run_folder


def test_a_job_is_known_by_its_options(tmp_path: Path) -> None:
    assert not run_folder.holds_job(tmp_path, ["seed=1"])
    run_folder.begin_job(tmp_path, ["seed=1"])
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert run_folder.holds_job(tmp_path, ["seed=1"])
    with pytest.raises(ValueError, match=r"begun with `seed=1`, this one has `seed=2`; give another hydra\.sweep\.dir"):
        run_folder.holds_job(tmp_path, ["seed=2"])


def test_a_run_that_no_multirun_began_is_not_taken_for_a_job(tmp_path: Path) -> None:
    run_folder.finish(tmp_path, {"val/loss": 1.0})
    with pytest.raises(ValueError, match=r"no multirun began; give another hydra\.sweep\.dir, or remove"):
        run_folder.holds_job(tmp_path, ["seed=1"])


def test_a_folder_is_free_until_a_run_has_left_something_to_lose(tmp_path: Path) -> None:
    (tmp_path / "train.log").touch()
    (tmp_path / "checkpoints").mkdir()
    run_folder.refuse_another(tmp_path, None)
    (tmp_path / "checkpoints" / "best.ckpt").touch()
    for elsewhere in (None, "last.ckpt", str(tmp_path.parent / "last.ckpt")):
        with pytest.raises(FileExistsError, match=r"best\.ckpt"):
            run_folder.refuse_another(tmp_path, elsewhere)
    run_folder.refuse_another(tmp_path, "auto")
    run_folder.refuse_another(tmp_path, str(tmp_path / "checkpoints" / "best.ckpt"))
