"""The CSV logger, without a training; tests/faults has it resume behind killed runs."""

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger as LightningsLogger

from satclip.training.loggers.csv import CsvLogger

ROWS: list[tuple[dict[str, Any], int | None]] = [
    ({"train/loss": torch.tensor(0.5), "epoch": 0}, 0),
    ({"train/loss": torch.tensor(0.25, dtype=torch.float64), "epoch": 0}, 1),
    ({"val/loss": 1e-12, "epoch": 0, 'a, quoted "name"': 3}, 1),
    ({"train/loss": float("nan"), "epoch": 1}, 2),
]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_file_is_the_one_that_lightning_writes(tmp_path: Path) -> None:
    ours = CsvLogger(str(tmp_path / "ours"))
    theirs = LightningsLogger(tmp_path, name="", version="theirs", flush_logs_every_n_steps=1)
    for logger in (ours, theirs):
        for metrics, step in ROWS:
            logger.log_metrics(metrics, step)
        logger.log_hyperparams({"lr": 0.1, "layers": [1, 2]})
        logger.save()
        logger.finalize("success")
    for name in ("metrics.csv", "hparams.yaml"):
        assert (tmp_path / "ours" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()
    for name in ("name", "version", "save_dir", "log_dir"):
        assert str(getattr(ours, name)).replace("ours", "theirs") == str(getattr(theirs, name))


def test_a_row_is_in_the_file_when_it_is_logged_and_another_logger_appends(tmp_path: Path) -> None:
    for number in range(3):
        logger = CsvLogger(str(tmp_path))
        logger.log_metrics({"b": number}, number)
        assert [row["b"] for row in rows_of(tmp_path / "metrics.csv")] == [str(each) for each in range(number + 1)]
    logger.log_metrics({"a": 7.0}, 3)
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["a,b,step", ",0,0", ",1,1", ",2,2", "7.0,,3"]


def test_rows_behind_the_checkpoint_are_forgotten_and_written_again(tmp_path: Path) -> None:
    first = CsvLogger(str(tmp_path))
    for step in range(5):
        first.log_metrics({"loss": step}, step)
    with first.path.open("a") as file:
        file.write("3.5,")  # its process was killed over a row
    second = CsvLogger(str(tmp_path))
    second.resume_at(3)
    second.log_metrics({"loss": 30}, 3)
    assert [row["loss"] for row in rows_of(second.path)] == ["0", "1", "2", "30"]


def test_the_rows_of_another_run_come_first(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = CsvLogger(str(tmp_path / "old" / "csv"))
    for step in range(4):
        old.log_metrics({"loss": step}, step)
    new = CsvLogger(str(tmp_path / "new" / "csv"))
    new.resume_at(2, tmp_path / "old")
    new.log_metrics({"loss": 20, "other": 1}, 2)
    assert [row["loss"] for row in rows_of(new.path)] == ["0", "1", "20"]
    assert len(rows_of(old.path)) == 4
    CsvLogger(str(tmp_path / "third" / "csv")).resume_at(2, tmp_path / "nothing")
    assert "the CSV of this run begins with step 2" in caplog.text


def test_rows_without_a_step_are_counted_and_names_and_values_come_as_they_are(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    for value in (1, "text, with a comma\nand a line"):
        logger.log_metrics({"a": value})  # type: ignore[dict-item]
    assert [(row["a"], row["step"]) for row in rows_of(logger.path)] == [
        ("1", "0"),
        ("text, with a comma\nand a line", "1"),
    ]
    logger.log_hyperparams(Namespace(lr=0.1))
    assert yaml.safe_load((tmp_path / "hparams.yaml").read_text()) == {"lr": 0.1}


def test_a_file_that_is_removed_under_way_begins_again(tmp_path: Path) -> None:
    logger = CsvLogger(str(tmp_path))
    logger.log_metrics({"a": 1}, 0)
    logger.path.unlink()
    logger.log_metrics({"a": 2}, 1)
    assert rows_of(logger.path) == [{"a": "2", "step": "1"}]


def test_a_new_column_on_a_full_disk_leaves_the_rows_there_were(tmp_path: Path, file_size_limit: Any) -> None:
    logger = CsvLogger(str(tmp_path))
    logger.log_metrics({"a": 1}, 0)
    before = logger.path.read_text()
    with file_size_limit(len(before)), pytest.raises(OSError, match="too large"):
        logger.log_metrics({"a": 1, "another": 2}, 1)
    assert logger.path.read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_ranks_but_the_first_write_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.utilities import rank_zero_only

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    logger = CsvLogger(str(tmp_path))
    logger.log_metrics({"a": 1}, 0)
    logger.log_hyperparams({"a": 1})
    assert not list(tmp_path.iterdir())
