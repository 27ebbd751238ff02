"""Whatever text is in a table, its rows are those of Python's csv module, or one line says why not."""

import csv
import gzip
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satclip.cli.tables.csv import CsvPlaces
from satclip.cli.tables.dialect import find_layout

Rows = list[list[str]]

FEW = settings(max_examples=80, deadline=None, database=None, derandomize=True)
MANY = settings(max_examples=800, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

SEPARATORS = st.sampled_from([",", ";", "\t", "|", " "])
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])
BLOCKS = st.sampled_from([1, 7, 64, 1 << 22, 1 << 22, 1 << 22])
# What tables are broken by, and a few letters of one to four bytes.
LETTERS = '",;\t| \n\r\ufeff#-+.0123ax\u00e9\u20ac\U0001d11e\u2028'
VALUES = st.text(st.one_of(st.sampled_from(LETTERS), st.characters(codec="utf-8", exclude_characters="\0")), max_size=8)


def oracle(text: str, separator: str, *, quoted: bool) -> Rows:
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
    return [row for row in rows if row]


def parsed(line: bytes) -> list[str]:
    return next(csv.reader(io.StringIO(line.decode(), newline="")))


def lines_of(path: Path, block_bytes: int) -> tuple[CsvPlaces, list[bytes]]:
    places = CsvPlaces(path, columns="lines", block_bytes=block_bytes)
    return places, [line for batch, _ in places.pieces() for line in batch.column(0).to_pylist()]


def check_values(path: Path, wanted: Rows, block_bytes: int) -> None:
    """Typed columns are the values of `wanted`, as text or as the number that the text is."""
    places = CsvPlaces(path, block_bytes=block_bytes)
    found = pa.Table.from_batches([batch for batch, _ in places.pieces()], schema=places.schema)
    assert found.num_rows == places.rows == len(wanted)
    for number, column in enumerate(found.columns):
        for value, text in zip(column.to_pylist(), (row[number] for row in wanted), strict=True):
            if pa.types.is_string(column.type):
                assert (value or "") == text
            else:
                assert value is None or value == pytest.approx(float(text.strip()), rel=1e-15)


def check_any_text(separator: str, cells: Rows, end: str, block_bytes: int) -> None:
    """A header of three columns, and below it what looks like rows of three values but need not be."""
    body = end.join(separator.join(row) for row in cells)
    text = end.join([separator.join(("lon", "lat", "note")), body])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "in.csv"
        path.write_bytes(text.encode())
        refusal = ""
        try:
            layout = find_layout(path, None, None, block_bytes=block_bytes)
            _, lines = lines_of(path, block_bytes)
        except click.ClickException as error:
            refusal = error.message
        if refusal:
            assert len(refusal.splitlines()) == 1
            return
        _, *wanted = oracle(text, separator, quoted=layout.dialect.quoted)
        assert [parsed(line) for line in lines] == wanted
        if separator == ",":
            passed = b"".join(lines).replace(b"\r", b"").replace(b"\n", b"")
            assert passed == body.encode().replace(b"\r", b"").replace(b"\n", b"")
        if separator == "\t":
            plain = oracle(text, separator, quoted=False)
            assert layout.rows == len(plain) - 1 or any(len(row) != 3 for row in plain)
        check_values(path, wanted, block_bytes)


def check_written_table(
    rows: list[tuple[str, str, bool, bool]],
    separator: str,
    end: str,
    encoding: str,
    packed: bool,
    last: bool,
    block_bytes: int,
) -> None:
    """Two columns of any text, each value in quotes or not, beside a place."""

    def written(value: str, in_quotes: bool) -> str:
        must = any(letter in value for letter in f'{separator}"\r\n')
        return '"' + value.replace('"', '""') + '"' if in_quotes or must else value

    if separator == "\t":  # a quote between tabs is text where nothing says otherwise
        rows = [(first.replace("\t", " "), second.replace("\t", " "), False, False) for first, second, _, _ in rows]
    body = [separator.join((written(a, qa), "13.4", "52.5", written(b, qb))) for a, b, qa, qb in rows]
    text = end.join([separator.join(("a", "lon", "lat", "b")), *body, *([""] if last else [])])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("in.csv.gz" if packed else "in.csv")
        data = text.encode(encoding)
        path.write_bytes(gzip.compress(data) if packed else data)
        places, lines = lines_of(path, block_bytes)
        wanted = [[first, "13.4", "52.5", second] for first, second, _, _ in rows]
        assert [parsed(line) for line in lines] == wanted
        if separator == ",":
            assert [line.decode() for line in lines] == body
        assert places.rows == len(rows)
        check_values(path, wanted, block_bytes)


def any_text(setting: settings) -> Callable[[], None]:
    cells = st.one_of(
        st.sampled_from(
            ["1", "a", "", '""', '"a"', '"a""b"', '5" x', 'x"', '"', '"a', 'a"', '"x\ny"', '"x\r\ny"', '"a,b;c|d e"']
        ),
        st.text(st.sampled_from(LETTERS), max_size=4),
    )
    rows = st.lists(st.lists(cells, min_size=3, max_size=3), max_size=6)
    return setting(given(SEPARATORS, rows, LINE_ENDS, BLOCKS)(check_any_text))


def written_table(setting: settings) -> Callable[[], None]:
    rows = st.lists(st.tuples(VALUES, VALUES, st.booleans(), st.booleans()), max_size=12)
    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    strategies = (rows, SEPARATORS, LINE_ENDS, encodings, st.booleans(), st.booleans(), BLOCKS)
    return setting(given(*strategies)(check_written_table))


def test_any_text_is_read_as_csv_reads_it_or_refused_in_a_line() -> None:
    any_text(FEW)()


def test_any_table_that_is_well_written_is_read_value_for_value() -> None:
    written_table(FEW)()


@pytest.mark.slow
def test_much_text_is_read_as_csv_reads_it_or_refused_in_a_line() -> None:
    any_text(MANY)()


@pytest.mark.slow
def test_many_tables_that_are_well_written_are_read_value_for_value() -> None:
    written_table(MANY)()
