"""One's own table: what it holds is found by names and types, and what is in doubt is refused or said."""

import logging
from pathlib import Path

import numpy as np
import pytest

from satclip.downstream.contract import GLOBAL_CELLS
from satclip.downstream.tasks import CsvTask, TaskDataMissing
from satclip.downstream.tasks.csv_task import cells_for


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "plots.csv"
    path.write_text(
        "plot,Longitude,latitude,ph,soil,code\n1,13.4,52.5,6.5,loam,3\n2,11.5,48.1,,clay,1\n3,9.9,53.5,5.1,loam,3\n"
    )
    return path


def test_numbers_are_a_regression_and_words_are_classes(table: Path) -> None:
    ph = CsvTask(table, "ph").load()
    assert (ph.name, ph.classes, ph.target.tolist()) == ("plots_ph", None, [6.5, 5.1])
    assert ph.lonlat.tolist() == [[13.4, 52.5], [9.9, 53.5]]
    soil = CsvTask(table, "soil").load()
    assert (soil.classes, soil.target.tolist()) == (("clay", "loam"), [1, 0, 1])


def test_few_whole_numbers_are_a_quantity_and_the_other_reading_is_said(
    table: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert CsvTask(table, "code").load().classes is None
    assert "code holds 2 different whole numbers" in caplog.text
    assert CsvTask(table, "code", kind="classification").load().classes == ("1", "3")


def test_rows_without_a_value_are_counted(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        CsvTask(table, "ph").load()
    assert "plots_ph: 2 places from" in caplog.text
    assert "1 rows without a label" in caplog.text


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"target": "pH"}, "none called pH; did you mean ph?"),
        ({"target": "ph", "lon": "x"}, "none called x"),
        ({"target": "soil", "kind": "regression"}, "'loam' is no number"),
        ({"target": "ph", "kind": "classes"}, "kind must be regression or classification"),
    ],
)
def test_a_wrong_option_is_refused_with_what_there_is(table: Path, options: dict[str, str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        CsvTask(table, **options).load()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lon,lng,lat,y\n1,1,2,3\n", "lon, lng, lat could all be meant"),
        ("east,north,y\n1,2,3\n", "none of them is named like longitude and latitude"),
        ("lon,lat,y\n52.5,113.4,1\n", r"the columns look like \(latitude, longitude\)"),
        ("lon,lat,y\n500000,5800000,1\n", "are not \\(longitude, latitude\\)"),
        ("lon,lat,y\n1,2,\n", "none of the 1 rows"),
    ],
)
def test_a_table_in_doubt_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=why):
        CsvTask(tmp_path / "t.csv", "y").load()


def test_x_and_y_are_coordinates_where_nothing_has_a_better_name(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y,v\n13.4,52.5,1.5\n")
    assert CsvTask(tmp_path / "t.csv", "v").load().lonlat.tolist() == [[13.4, 52.5]]
    (tmp_path / "t.csv").write_text("x,y,lon,lat,v\n1,1,13.4,52.5,1.5\n")
    assert CsvTask(tmp_path / "t.csv", "v").load().lonlat.tolist() == [[13.4, 52.5]]


def test_a_file_that_is_not_there_is_missing_data_and_no_error_of_the_run(tmp_path: Path) -> None:
    with pytest.raises(TaskDataMissing, match="there is no file"):
        CsvTask(tmp_path / "none.csv", "v").load()


def test_held_out_cells_follow_the_extent() -> None:
    around_the_date_line = np.array([[179.0, -17.0], [-179.0, -19.0], [178.0, -18.0]])
    assert cells_for(around_the_date_line) == (0.075, 0.15, 0.3, 0.6)
    around_greenwich = around_the_date_line - [180.0, 0.0]
    assert cells_for(around_greenwich) == (0.075, 0.15, 0.3, 0.6)
    california = np.array([[-124.3, 32.5], [-114.3, 42.0]])
    assert cells_for(california) == (0.25, 0.5, 1.0, 2.0)
    assert cells_for(np.array([[-120.0, 0.0], [0.0, 0.0], [120.0, 0.0]])) == GLOBAL_CELLS
