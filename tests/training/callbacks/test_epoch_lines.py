"""One line an epoch where no progress bar is seen."""

import logging
import re
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import lightning as L
import pytest

from satclip.training.callbacks.epoch_lines import EpochLines, duration, in_words
from satclip.training.callbacks.resumable import Resumable
from satclip.training.module import ContrastiveModule

LINE = (
    r"epoch (\d) of 3: loss \d\S+,( val/loss \d\S+, retrieval top10 1\.000 \([\d,]+ km\),)? [\d,]+ samples/s, .* left"
)


def test_a_log_gets_one_line_an_epoch_and_no_stale_validation(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        trainer(EpochLines(), max_epochs=3, check_val_every_n_epoch=2).fit(small_module(), loader(2, 8), loader(1, 8))
    lines = [re.fullmatch(LINE, each.message) for each in caplog.records if each.message.startswith("epoch")]
    assert [each and each[1] for each in lines] == ["1", "2", "3"]
    assert [bool(each and each[2]) for each in lines] == [False, True, False]
    assert lines[-1] is not None
    assert lines[-1].string.endswith(", 0 s left")


def test_a_terminal_has_its_bar_and_only_the_log_file_gets_the_line(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    file = logging.FileHandler(tmp_path / "train.log")
    logging.getLogger().addHandler(file)
    try:
        with caplog.at_level(logging.INFO):
            trainer(EpochLines(), max_epochs=1).fit(small_module(), loader(2, 8), loader(1, 8))
    finally:
        logging.getLogger().removeHandler(file)
        file.close()
    assert not [each for each in caplog.messages if each.startswith("epoch")]
    assert (tmp_path / "train.log").read_text().startswith("epoch 1 of 1: loss ")


def test_a_time_limit_is_the_time_left(
    small_module: Callable[[], ContrastiveModule],
    loader: Callable[..., object],
    trainer: Callable[..., L.Trainer],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    made = trainer(EpochLines(), Resumable(str(tmp_path)), max_epochs=100_000, max_time=timedelta(seconds=0.5))
    with caplog.at_level(logging.INFO):
        made.fit(small_module(), loader(2, 8), loader(1, 8))
    lines = [each for each in caplog.messages if each.startswith("epoch 1 of 100000: ")]
    assert len(lines) == 1
    assert re.search(r", [01] s left$", lines[0])


def test_words_and_times_are_a_person_s() -> None:
    figures = {"train/loss": 1.23456, "probe/elevation/r2": 0.25, "val/loss": float("nan")}
    assert list(in_words(figures, validated=True)) == ["loss 1.235", "val/loss nan", "probe/elevation/r2 0.250"]
    assert list(in_words(figures, validated=False)) == ["loss 1.235"]
    times = [duration(seconds) for seconds in (0.4, 59, 200, 18420, 183600)]
    assert times == ["0 s", "59 s", "3 min 20 s", "5 h 7 min", "2 d 3 h"]
