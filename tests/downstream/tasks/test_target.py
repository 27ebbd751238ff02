"""A column that could be read in two ways is refused, or the way that is taken is said with the other."""

import logging
from pathlib import Path

import numpy as np
import pytest

from satclip.downstream.tasks import CsvTask
from satclip.downstream.tasks.table import numbers
from satclip.downstream.tasks.target import Say, target_of

MANY = [f"{n / 7:.4f}" for n in range(1, 41)]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (["<5", *MANY], r"40 values are numbers and 1 are none, the first in row 1 of the data: '<5'; .*--classes"),
        (["nan", "inf", "", "low", *MANY], "in row 4 of the data: 'low'"),
        ([f"2020-{n:02d}-01" for n in range(1, 13)] * 4, "holds dates such as '2020-01-01'; write them as numbers"),
        ([f"{n}.3.2020" for n in range(1, 10)] * 4, "holds dates"),
        ([f"station {n}" for n in range(40)], "40 of 40 rows hold a value that no other row has"),
        ([f"{value}%" for value in MANY], "no classes; give another column, or write plain numbers"),
        ([str(10**18 + n) for n in range(40)], "no other row has"),
        (["often"] * 9 + [f"rare {n}" for n in range(20)], "20 of 29 rows .*or say --classes where they are classes"),
        (["1,5", "2.5"], r"decimals behind commas \(1,5\) and behind points \(2\.5\); write points"),
    ],
)
def test_a_column_in_doubt_is_refused_with_what_to_do(values: list[str], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        target_of(values, what="t.csv, y", say=Say("--regression", "--classes"))


def test_numbers_that_are_said_to_be_classes_are_refused_where_none_comes_twice() -> None:
    with pytest.raises(ValueError, match="say kind=regression"):
        target_of(MANY, what="y", kind="classification")


@pytest.mark.parametrize(
    ("values", "classes", "said"),
    [
        (["01", "02", "03"] * 9, ("01", "02", "03"), "codes such as 01 and is taken as classes; --regression"),
        (["NA", "DE"] * 9, ("DE", "NA"), "taken as a class: NA; leave values that are missing empty"),
        (["None", "null", "a"] * 9, ("None", "a", "null"), "taken as a class: None, null"),
        (["Wheat", "wheat"] * 9, ("Wheat", "wheat"), "Wheat and wheat are taken as two classes"),
        (["1", "2", "3"] * 9, None, "3 different whole numbers and is taken as a quantity; --classes"),
        ([*MANY, "-9999", "-9999"], None, "-9999 stands in 2 rows, far from all other values"),
        (["1,234", "12"], None, "commas are taken as marks of thousands, 1,234 is 1234"),
    ],
)
def test_the_reading_that_is_taken_is_said_with_the_other(
    values: list[str], classes: tuple[str, ...] | None, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert target_of(values, what="y", say=Say("--regression", "--classes"))[1] == classes
    assert said in caplog.text


def test_many_rare_classes_are_taken_where_it_is_said_that_they_are_some() -> None:
    rare = ["often"] * 9 + [f"rare {n}" for n in range(20)]
    assert len(target_of(rare, what="y", kind="classification")[1] or ()) == 21


def test_ordinary_columns_are_read_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert target_of(MANY, what="y")[1] is None
        assert target_of([*MANY, "-40.5", "999.25"], what="y")[1] is None
        assert target_of(["True", "False", ""] * 9, what="y")[1] == ("False", "True")
    assert not caplog.text


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["12,5", "-0,25", "3", "1,5e2"], [12.5, -0.25, 3, 150]),
        (["1,234.5", "12", "1,234,567"], [1234.5, 12, 1234567]),
        (["0,950", "1,200"], [0.95, 1.2]),
    ],
)
def test_commas_stand_before_decimals_unless_all_can_stand_between_thousands(
    values: list[str], found: list[float]
) -> None:
    np.testing.assert_allclose(numbers(values, what="y"), found)


@pytest.mark.parametrize("value", ["1,2,3", "1_000", "12°30'"])
def test_what_only_looks_like_a_number_is_none(value: str) -> None:
    with pytest.raises(ValueError, match=r"row 2 of the data: .* is no number; mend the row"):
        numbers(["1", value], what="y")


def rows(tmp_path: Path, header: str, lines: list[str]) -> Path:
    path = tmp_path / "t.csv"
    path.write_text("\n".join([header, *lines]))
    return path


def test_a_table_with_decimal_commas_has_its_places_where_they_are(tmp_path: Path) -> None:
    path = rows(tmp_path, "lon;lat;y", ["1,5;4,2;7,25", "13,405;52,52;8,5"])
    labels = CsvTask(path, "y").load()
    assert labels.lonlat.tolist() == [[1.5, 4.2], [13.405, 52.52]]
    assert labels.target.tolist() == [7.25, 8.5]


@pytest.mark.parametrize(
    ("header", "target", "why"),
    [
        ("lon,lat,y", "lon", "lon is a coordinate of the places themselves; give another column"),
        ("Longitude,Latitude,y", "Latitude", "Latitude is a coordinate"),
        ("lon,lat,y,y", "y", "two columns called y; rename one"),
        ("lon,lat,lat,y", "y", "two columns called lat; rename one"),
    ],
)
def test_a_target_that_is_the_place_itself_or_there_twice_is_refused(
    tmp_path: Path, header: str, target: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        CsvTask(rows(tmp_path, header, []), target).load()


def test_a_row_out_of_range_is_named_as_a_person_counts_it(tmp_path: Path) -> None:
    path = rows(tmp_path, "lon,lat,y", ["1,2,3", ",,4", "1,95,5", "100,2,6"])
    with pytest.raises(ValueError, match=r"1 of 4 rows .* the first row 3 of the data: \(1, 95\); mend these rows"):
        CsvTask(path, "y").load()


def test_places_in_radians_are_spoken_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    generator = np.random.default_rng(0)
    places = np.radians(generator.uniform((-180, -90), (180, 90), (30, 2)))
    with caplog.at_level(logging.WARNING):
        CsvTask(rows(tmp_path, "lon,lat,y", [f"{x},{y},{x + y}" for x, y in places]), "y").load()
    assert "if they are radians, turn them into degrees" in caplog.text
