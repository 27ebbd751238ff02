"""Which dialect a delimited text is written in, and the names of its columns."""

import csv
import io
import re
from pathlib import Path
from typing import NamedTuple

import click

from satclip.cli.tables.columns import Columns, check_names, find_columns
from satclip.cli.tables.records import BLOCK_BYTES, BrokenTableError, Dialect, count_rows
from satclip.cli.tables.text import REMEDY, Source, open_text

_SEPARATORS = (",", ";", "\t", "|", " ")  # a tie is the first one's
_HEADER_BYTES = 1 << 22
_EXCEL = re.compile(r'^"?sep=([^"\r\n])"?(\r\n|\r|\n)')  # a line for Excel alone, which says what separates the values
_NUMBER = re.compile(r"^\s*-?[0-9]+(\.[0-9]*)?\s*$")


class Layout(NamedTuple):
    """How a text is to be read.

    Attributes:
        dialect: separator and quoting.
        names: of the columns.
        columns: those of longitude and latitude.
        skip: how many rows come before the data.
        rows: of data, as many as the whole file holds.
    """

    dialect: Dialect
    names: list[str]
    columns: Columns
    skip: int
    rows: int


def find_layout(path: Path, lon: str | None, lat: str | None, *, block_bytes: int = BLOCK_BYTES) -> Layout:
    """Find the layout of the text at `path` from its header, and prove it on all of its rows.

    Raises:
        click.ClickException: there is no header with longitude and latitude, two columns share a name, or a row does
            not fit the header.
    """
    with open_text(path) as stream:
        head = _read(stream, _HEADER_BYTES).decode(errors="replace")
    said = _EXCEL.match(head)
    marks = (said[1],) if said else _SEPARATORS
    if not marks[0].isascii():
        raise click.ClickException(f"{path.name}: line 1: {marks[0]} as a separator is not read here; {REMEDY}")
    body = head[said.end() :] if said else head
    if not body.strip("\r\n"):
        raise click.ClickException(f"{path.name}: Empty CSV file; {REMEDY}")
    headers = [header for mark in marks if (header := _header(body, mark)) is not None]
    if not headers:
        raise BrokenTableError(
            f"{path.name}: line 1: the header has an unclosed quote, or text behind a closing one; {REMEDY}"
        )
    header, columns = _choose(path, headers, lon, lat)
    skip = 2 if said else 1
    dialect, rows = _prove(path, header.dialect, width=len(header.names), skip=skip, block_bytes=block_bytes)
    return Layout(dialect, header.names, columns, skip, rows)


class _Header(NamedTuple):
    dialect: Dialect
    names: list[str]


def _read(stream: Source, size: int) -> bytes:
    """Up to `size` bytes, fewer only at the end: a stream may give less than it is asked for."""
    data = b""
    while len(data) < size and (block := stream.read(size - len(data))):
        data += block
    return data


def _header(text: str, separator: str) -> _Header | None:
    """The first row that is not blank, None where it is none in this dialect."""
    if separator == "\t":
        line = next(line for line in re.split(r"\r\n|\r|\n", text) if line)
        if '"' not in line:
            return _Header(Dialect(separator, quoted=False), line.split(separator))
    try:
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        return _Header(Dialect(separator, quoted=True), next(row for row in rows if row))
    except csv.Error:
        return None


def _choose(path: Path, headers: list[_Header], lon: str | None, lat: str | None) -> tuple[_Header, Columns]:
    """The header that has longitude and latitude; separators that make more columns come first."""
    headers = sorted(headers, key=lambda header: (header.dialect.separator == " ", -len(header.names)))
    for header in headers:
        try:
            columns = find_columns(header.names, lon, lat)
        except click.ClickException:
            continue
        check_names(path, header.names)
        return header, columns
    names = headers[0].names
    check_names(path, names)
    try:
        find_columns(names, lon, lat)
    except click.ClickException as error:
        raise click.ClickException(f"{path.name}: {error.message}{_hint(names)}") from error
    raise AssertionError("unreachable: the same names were refused above")


def _hint(names: list[str]) -> str:
    if names[0].startswith("#"):
        return "; the first line begins with #: take out what stands above the header"
    if any(_NUMBER.match(name) for name in names):
        return "; there are numbers in the first line, which must be a header"
    return ""


def _prove(path: Path, dialect: Dialect, **layout: int) -> tuple[Dialect, int]:
    """The dialect that all rows are written in, and how many they are.

    Between tabs a quote is plain text, as GBIF and PostgreSQL write it, unless only the rules of quoting explain the
    file: the header is in quotes, or lines do not fit it otherwise, or quotes are doubled and rows are the same either
    way.
    """
    if dialect.separator != "\t" or dialect.quoted:
        return dialect, count_rows(path, dialect, **layout).rows
    quoting = Dialect("\t", quoted=True)
    try:
        plain = count_rows(path, dialect, **layout)
    except BrokenTableError:
        try:
            return quoting, count_rows(path, quoting, **layout).rows
        except BrokenTableError:
            pass
        raise
    if plain.quotes:
        try:
            quoted = count_rows(path, quoting, **layout)
        except BrokenTableError:
            return dialect, plain.rows
        if quoted.rows == plain.rows and quoted.doubled:
            return quoting, quoted.rows
    return dialect, plain.rows
