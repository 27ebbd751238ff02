"""Faults that were reported with a small input and the right value, by the commands that showed them.

Tested by the very same command elsewhere: a quote between tabs
(`test_a_quote_between_tabs_is_text_and_swallows_no_row`), --crs against the file
(`test_an_option_does_not_override_what_the_file_says`), traced encoders (tests/location/test_capture.py), .tiff patches
(`test_tiff_files_are_written_the_first_time`), W&B behind a proxy or at a server of one's own
(`test_a_proxy_is_asked_for_the_server` and its neighbours), runs begun in the same second
(`test_three_runs_begun_at_once_all_end_well`), decimal commas
(`test_a_decimal_comma_is_read_where_the_separator_is_another`).
"""

import csv
import json
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

pytestmark = pytest.mark.slow

Start = Callable[..., Any]
Tell = Callable[..., Any]
Logged = Callable[[Path, str], list[tuple[int, float]]]
Same = Callable[[Path, Path], None]
OF_TWENTY = ["epochs=2", "dataset.batch_size=20"]  # 16 batches an epoch


@pytest.fixture(autouse=True)
def _fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs in a folder of its own."""
    (tmp_path / "fresh").mkdir()
    monkeypatch.chdir(tmp_path / "fresh")


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def ended(once: Path, start: Start, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of one epoch at a constant rate, made once, while W&B was disabled; do not write into it."""
    if not (once / "run").exists():
        options = ["epochs=1", "scheduler=constant", "optimizer.lr=2e-3", "logger=wandb", f"hydra.run.dir={once}/run"]
        with monkeypatch.context() as moved:
            moved.chdir(once)
            start(*options, WANDB_MODE="disabled").end(0)
    return once / "run"


def test_stopped_between_two_optimiser_steps_it_resumes_bit_for_bit_by_the_command_it_printed(
    start: Start, tell: Tell, assert_same_run: Same
) -> None:
    """Saves are at every other step, once each, and none in mid-accumulation."""
    steps = [*OF_TWENTY, "trainer.accumulate_grad_batches=4", "callbacks.resumable.every_n_steps=2"]
    note = "+callbacks.note={_target_: injections.NoteSaves, path: saves.txt}"
    start(*steps, note, "hydra.run.dir=whole").end(0)
    saves = Counter(map(int, Path("saves.txt").read_text().split()))
    assert (saves[2], saves[6]) == (1, 1)  # the validations of 4 and 8 may keep a best.ckpt, too
    assert set(saves) == {2, 4, 6, 8}
    assert max(saves.values()) <= 2

    hurt = "+callbacks.hurt={_target_: injections.SignalInBatch, epoch: 0, batch: 5}"
    cut = start(*steps, hurt, "hydra.run.dir=cut")
    cut.end(143)
    assert torch.load("cut/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
    assert not Path("cut/metrics.json").exists()
    (resuming,) = re.findall(r"to resume: (.*)", cut.said)
    program, *arguments = shlex.split(resuming)
    assert program == "python"
    tell(sys.executable, *arguments)
    assert_same_run(Path("whole"), Path("cut"))


def test_stopped_in_a_validation_in_mid_epoch_it_trains_the_rest_of_the_epoch(
    start: Start, tell: Tell, logged: Logged, assert_same_run: Same
) -> None:
    halves = [*OF_TWENTY, "+trainer.val_check_interval=0.5"]
    start(*halves, "hydra.run.dir=whole").end(0)
    hurt = "+callbacks.hurt={_target_: injections.SignalAt, step: 8, moment: validation}"
    start(*halves, hurt, "hydra.run.dir=cut").end(143)
    assert not Path("cut/metrics.json").exists()
    options = Path("cut/.hydra/overrides.yaml")
    options.write_text(yaml.safe_dump([each for each in yaml.safe_load(options.read_text()) if each != hurt]))
    tell(sys.executable, "-m", "satclip.cli", "resume", "cut")
    assert len(logged(Path("cut"), "train/loss")) == 32
    assert len(logged(Path("cut"), "val/loss")) == 4
    assert Path("cut/metrics.json").exists()
    assert_same_run(Path("whole"), Path("cut"))


def test_a_new_learning_rate_is_the_one_that_is_used(ended: Path, start: Start, logged: Logged) -> None:
    shutil.copytree(ended, "run")
    asked = ["epochs=2", "scheduler=constant", "optimizer.lr=1e-6", "ckpt_path=auto", "hydra.run.dir=run"]
    resumed = start(*asked)
    resumed.end(0)
    rates = logged(Path("run"), "train/learning_rate")
    assert [rate for _, rate in rates] == pytest.approx([2e-3] * 5 + [1e-6] * 5)
    assert "optimizer.lr 0.002 -> 1e-06" in resumed.said
    assert yaml.safe_load(Path("run/.hydra/config.yaml").read_text())["optimizer"]["lr"] == 1e-6


def test_an_end_is_asked_for_where_the_schedule_needs_one_and_nothing_is_left_behind(start: Start) -> None:
    run = start("epochs=-1", "+trainer.max_time=00:00:00:05", "scheduler=cosine")
    run.end(1)
    assert re.search(r"^error: .*cosine needs an end: give epochs or trainer.max_steps", run.said, re.M)
    assert "Traceback" not in run.said
    assert list(Path().iterdir()) == []


def test_a_disk_without_links_and_locks_is_trained_on_with_one_warning_of_each(
    start: Start, tmp_path: Path, project: Path
) -> None:
    hurt = (sys.executable, str(project / "tests" / "faults" / "bare_disk.py"))
    run = start("epochs=1", f"dataset.root={tmp_path / 'new'}", "hydra.run.dir=run", command=hurt)
    run.end(0)
    assert Path("run/metrics.json").exists()
    assert len(re.findall("no hard links", run.said)) == 1
    assert len(re.findall("without locks", run.said)) <= 1
    assert not list(Path("run").glob(".*lock*"))


def test_what_max_time_ended_is_saved_and_resumes_at_its_last_step(start: Start, logged: Logged) -> None:
    slow = "+callbacks.slow={_target_: injections.Slow, seconds: 0.3}"
    here = ["hydra.run.dir=run", "scheduler=constant"]
    run = start("epochs=50", "+trainer.max_time=00:00:00:02", slow, *here)
    run.end(0)
    last = torch.load("run/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert [step for step, _ in logged(Path("run"), "train/loss")] == list(range(last))
    assert not Path("run/metrics.json").exists()
    epochs = last // 5 + 1
    start(f"epochs={epochs}", *here, "ckpt_path=auto").end(0)
    assert [step for step, _ in logged(Path("run"), "train/loss")] == list(range(5 * epochs))
    assert Path("run/metrics.json").exists()


def test_a_list_of_shards_of_another_data_set_is_not_used(tell: Tell, project: Path) -> None:
    Path("root/cache").mkdir(parents=True)
    listed = ["https://huggingface.co/datasets/torchgeo/s2-100k/resolve/main/a.tar"]
    Path("root/cache/hub.json").write_text(json.dumps(listed))
    options = ["dataset=s2_100k", "dataset.root=root", "dataset.hub=me/other-patches", "vision=tiny", "trainer=cpu"]
    done = tell(
        sys.executable, project / "train.py", *options, "logger=csv", code=1, env={"HF_ENDPOINT": "http://127.0.0.1:9"}
    )
    assert "error: " in done.stdout
    assert "http://127.0.0.1:9 does not answer" in done.stdout
    assert "a.tar" not in done.stdout


def test_a_disabled_wandb_leaves_no_file(ended: Path) -> None:
    assert (ended / "metrics.json").exists()
    assert not [path for path in ended.parent.rglob("*") if path.suffix == ".wandb" or path.name == "wandb"]


def test_a_degree_is_a_plain_number_in_files_of_one_s_own(small: list[str], tell: Tell, project: Path) -> None:
    head = "# @package _global_\ndefaults:\n  - blue_marble_one_hot\n"
    Path("my/experiment").mkdir(parents=True)
    sweep = "  - _self_\nhydra:\n  sweeper:\n    params:\n      legendre_polys: 5,6\n"
    Path("my/experiment/sweep.yaml").write_text(head + sweep)
    Path("my/experiment/mine.yaml").write_text(head + "  - override /legendre_polys: 12\n  - _self_\n")
    train = [sys.executable, project / "train.py"]
    shown = tell(*train, "--config-dir", "my", "experiment=mine", "--cfg", "job").stdout
    assert yaml.safe_load(shown)["le_type"]["legendre_polys"] == 12

    given = [each for each in small if not each.startswith(("experiment=", "legendre_polys="))]
    swept = tell(*train, "-m", "--config-dir", "my", "experiment=sweep", *given, "epochs=1", "hydra.sweep.dir=swept")
    configs = [yaml.safe_load(path.read_text()) for path in sorted(Path("swept").glob("*/.hydra/config.yaml"))]
    assert [config["le_type"]["legendre_polys"] for config in configs] == [5, 6], swept.stdout
    for job in ("0", "1"):
        with (Path("swept") / job / "csv" / "metrics.csv").open(newline="") as file:
            assert any(row["val/loss"] for row in csv.DictReader(file))
