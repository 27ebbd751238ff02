"""CSV columns: every row is accounted for, whatever its quotes, its ending or its encoding."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from satclip.downstream.tasks.table import codes, columns, header, numbers


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_mark_between_values_is_found(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n\n3,4\n".replace(",", mark))
    assert columns(path, ("b", "a")) == {"b": ["2", "4"], "a": ["1", "3"]}


def test_a_lone_quotation_mark_between_tabs_swallows_no_row(tmp_path: Path) -> None:
    path = tmp_path / "gbif.tsv"
    path.write_text('place\tlat\nplain\t1\n"Big Creek 5 mi N\t2\nplain\t3\n"Teich\t4\nplain\t5\n')
    assert columns(path, ("lat",))["lat"] == ["1", "2", "3", "4", "5"]


def test_a_quoted_value_may_hold_the_mark_and_a_line_end(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('a,b\n"1,5\nx",2\n')
    assert columns(path, ("a",)) == {"a": ["1,5\nx"]}


def test_gzip_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress("lon,lat\n1,2\n".encode("utf-8-sig")))
    assert header(path) == ["lon", "lat"]
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match="cannot be read"):
        columns(path, ("lon",))


def test_a_row_that_is_too_short_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="line 3: 1 values, not 2 as in the header"):
        columns(path, ("a",))


def test_an_empty_file_and_one_of_another_encoding_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "latin.csv").write_bytes("a\nK\u00f6ln\n".encode("latin-1"))
    for name, why in (("empty.csv", "is empty"), ("latin.csv", "UTF-8")):
        with pytest.raises(ValueError, match=why):
            columns(tmp_path / name, ("a",))


def test_numbers_may_be_missing_or_have_commas_and_nothing_else() -> None:
    found = numbers(["1,234.5", "", "NaN", "-3e2", "n/a"], what="t")
    np.testing.assert_array_equal(found, [1234.5, np.nan, np.nan, -300, np.nan])
    with pytest.raises(ValueError, match=r"t, row 2 of the data: 'x' is no number"):
        numbers(["1", "x"], what="t")


def test_classes_are_sorted_and_missing_ones_have_no_code() -> None:
    found, classes = codes(["b", "", "a", "b", "N/A", "nan"])
    assert (found.tolist(), classes) == ([1, -1, 0, 1, -1, -1], ("a", "b"))


def test_namibia_is_a_country() -> None:
    assert codes(["NA", "AO", ""])[1] == ("AO", "NA")


def test_two_columns_of_one_name_are_refused_where_one_is_wanted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b,b\n1,2,3\n")
    assert columns(path, ("a",)) == {"a": ["1"]}
    with pytest.raises(ValueError, match="two columns called b; rename one"):
        columns(path, ("b",))
