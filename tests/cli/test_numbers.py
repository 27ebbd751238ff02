"""Text in a CSV becomes a number only where nothing is lost by it."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from satclip.cli.tables.numbers import coordinates, wider_type


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", " 3 "], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["1e3", "0.5", "-0.25"], pa.float64()),
        (["1", None, "NA"], pa.int64()),
        ([None, "nan"], pa.null()),
        (["01001", "02001"], pa.string()),
        (["12345678901234567", "1"], pa.string()),
        (["1", "two"], pa.string()),
        (["2020-01-01"], pa.string()),
    ],
)
def test_a_column_is_numbers_where_every_value_is_one(texts: list[str | None], kind: pa.DataType) -> None:
    assert wider_type(pa.null(), pa.array(texts, pa.string())) == kind


@pytest.mark.parametrize(
    ("before", "after"),
    [(pa.float64(), pa.float64()), (pa.string(), pa.string()), (pa.int64(), pa.int64())],
)
def test_what_was_seen_before_is_never_narrowed(before: pa.DataType, after: pa.DataType) -> None:
    assert wider_type(before, pa.array(["1", "2"])) == after


def test_a_coordinate_is_read_as_people_write_it() -> None:
    texts = ["1", " -2.5 ", "+3", ".5", "5.", "1e1", "12,5", "N 5", "", None, "1e999", "nan", "0x10"]
    found = coordinates(pa.array(texts)).tolist()
    assert found[:6] == [1.0, -2.5, 3.0, 0.5, 5.0, 10.0]
    assert all(value != value or value == float("inf") for value in found[6:])


@pytest.mark.parametrize("kind", [pa.int32(), pa.float32(), pa.float64(), pa.decimal128(9, 4), pa.large_string()])
def test_coordinates_come_in_any_type_of_number(kind: pa.DataType) -> None:
    column = pa.array(["7", None]).cast(kind)
    found = coordinates(column)
    assert found[0] == 7
    assert found[1] != found[1]


def test_types_are_settled_by_the_whole_file_and_codes_keep_their_zeros(
    satclip: Any, model: str, tmp_path: Path
) -> None:
    rows = 90_000  # the value that is no whole number comes long after the first block
    lines = [f"1,2,{i},0{i},{'x' * 40}" for i in range(rows)]
    lines[-1] = "1,2,3.5,007,NA"
    (tmp_path / "in.csv").write_text("lon,lat,value,code,text\n" + "\n".join(lines) + "\n")
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.parquet").code == 0
    last = pq.read_table(tmp_path / "out.parquet").slice(rows - 1).to_pylist()[0]
    assert (last["value"], last["code"], last["text"]) == (3.5, "007", "NA")


def test_semicolons_and_line_breaks_inside_quotes_are_read(satclip: Any, model: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('lon;lat;note\n1;2;"two\nlines; one value"\n3;4;plain\n')
    assert satclip("embed", tmp_path / "in.csv", "--model", model, "-o", tmp_path / "out.parquet").code == 0
    notes = pq.read_table(tmp_path / "out.parquet")["note"].to_pylist()
    assert notes == ["two\nlines; one value", "plain"]
