"""What no score can come of is said before the work, and nothing of somebody else's is written over."""

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from satclip.downstream.benchmark.choose import Chosen, by_name
from satclip.downstream.benchmark.files import HEAD, check_folder
from satclip.downstream.benchmark.rows import rows
from satclip.downstream.benchmark.run import benchmark
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import random_draws

PLACES = np.random.default_rng(0).uniform((-170, -80), (170, 80), (40, 2))
NORTH = PLACES[:, 1].copy()


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (Labels("t", PLACES[:5], NORTH[:5]), "5 different places with a label are too few"),
        (Labels("t", np.repeat(PLACES[:4], 10, 0), NORTH), "4 different places"),
        (Labels("t", PLACES * [1, 0] + [0, 90], NORTH), "1 different places"),
        (Labels("t", PLACES, np.full(40, 5.0)), r"every place has the same value \(5\)"),
        (Labels("t", PLACES, np.zeros(40, np.int64), ("wet",)), r"every place has the same value \(wet\)"),
        (Labels("t", PLACES, 1e9 + NORTH * 1e-9), "every place has the same value"),
        (Labels("t", PLACES, NORTH * 1e-200), "values that span .*; change the unit"),
        (Labels("t", PLACES, NORTH * 1e200), "values that span .*; change the unit"),
    ],
)
def test_a_set_without_anything_to_tell_is_refused_with_why(labels: Labels, why: str) -> None:
    with pytest.raises(ValueError, match=f"nothing to score: t: {why}"):
        benchmark(rows(["raw"], ["none"]), Chosen.of([labels]), Settings(labels=("all",), draws=1, workers=1))


def test_the_other_tasks_go_on_and_few_places_are_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        chosen = Chosen.of([Labels("few", PLACES, NORTH), Labels("flat", PLACES, NORTH * 0)], ["other: not here"])
    assert [task.name for task in chosen.tasks] == ["few"]
    assert [line.partition(":")[0] for line in chosen.missing] == ["other", "flat"]
    assert "few: 40 places with a label say little" in caplog.text


def test_an_offset_of_a_billion_changes_no_score() -> None:
    scores = []
    for offset in (0.0, 1e9):
        labels = Labels("t", PLACES, NORTH + offset)
        found = benchmark(rows(["raw"], ["none"]), Chosen.of([labels]), Settings(labels=("all",), draws=2, workers=1))
        scores.append([record.score for record in found.results.records])
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_rows_at_one_place_are_tested_together() -> None:
    turned = np.stack([PLACES[:20, 0] % 360, PLACES[:20, 1]], 1)  # the same places, another way to count
    same = np.concatenate([PLACES[:20], turned])
    labels = Labels("twice", same, NORTH)
    for draw in random_draws(labels, 5, 0):
        assert not set((draw.test % 20).tolist()) & set((draw.pool % 20).tolist())


def test_a_root_of_tasks_that_is_a_file_is_refused_and_one_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="a file is no folder of tasks"):
        by_name(["air_temperature"], tmp_path / "file")
    (line,) = by_name(["air_temperature"], tmp_path / "none").missing
    assert line.endswith("none, which is not there)")


@pytest.mark.parametrize(
    ("task", "file"),
    [
        ("elevation", "altitude/Altitude.h5"),
        ("climate_zone", "koppen/kmz_int_reshape.png"),
        ("land_cover", "landcover_igbp/MCD12C1.A2019001.006.2020220162300.tif"),
        ("country", "countries/naturalearth_lowres.shp"),
    ],
)
def test_a_damaged_map_is_named_with_what_to_do(tmp_path: Path, task: str, file: str) -> None:
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=f"{Path(file).name} cannot be read .*; fetch it again"):
        by_name([task], tmp_path)


def test_a_file_cut_short_at_the_end_of_a_line_is_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lines = [f"{x},{y},{y}" for x, y in PLACES.tolist()]
    (tmp_path / "stationDataAll.csv").write_text("\n".join(["Lon,Lat,meanT", *lines]))
    with caplog.at_level(logging.WARNING):
        by_name(["air_temperature"], tmp_path)
    assert "stationDataAll.csv is not the published file" in caplog.text
    assert "scripts/fetch_tasks.py air_temperature" in caplog.text


def test_a_folder_with_a_report_of_somebody_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_folder(tmp_path / "new" / "deep")
    assert not (tmp_path / "new").exists()
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(ValueError, match=r"holds report\.md, not of a report, which would be lost; name another"):
        check_folder(tmp_path)
    (tmp_path / "records.csv").write_text("my,records\n")
    with pytest.raises(ValueError, match=r"report\.md, records\.csv, not of a report"):
        check_folder(tmp_path)
    (tmp_path / "records.csv").write_text(HEAD)
    check_folder(tmp_path)  # an older report is replaced
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file, so there can be no folder"):
        check_folder(tmp_path / "file" / "below")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="cannot be written to; name a folder elsewhere"):
        check_folder(tmp_path / "new")
