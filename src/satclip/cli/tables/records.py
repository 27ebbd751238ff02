"""Where the rows of a delimited text lie, found in blocks and without a loop over bytes.

A value begins with a quote or it is not quoted; inside quotes a quote is doubled (RFC 4180). A quote that does
neither open nor close a value is text, as it is to Python's csv and to pandas; text behind a closing
quote is an error, because that is what rows swallowed by a stray quote look like.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from numpy.typing import NDArray

from satclip.cli.tables.text import REMEDY, open_text

BLOCK_BYTES = 1 << 22
LONGEST_BYTES = 1 << 26  # of one row

_LF, _CR, _QUOTE = 10, 13, 34
_NOWHERE = np.zeros(0, np.int64)

Positions = NDArray[np.int64]


class Dialect(NamedTuple):
    """How values are told apart: `separator` is one ASCII character; where not `quoted`, a quote is plain text."""

    separator: str
    quoted: bool


class Records(NamedTuple):
    """Whole rows. `data[starts[i]:ends[i]]` is row i without its line end; blank lines are none.

    `separators` and `quotes` are positions of those that separate and quote.
    """

    data: bytes
    starts: Positions
    ends: Positions
    separators: Positions
    quotes: Positions

    def since(self, row: int) -> "Records":
        """Without the first `row` rows."""
        if row == 0:
            return self
        first = self.starts[row] if row < len(self.starts) else len(self.data)
        kept = (positions[np.searchsorted(positions, first) :] for positions in (self.separators, self.quotes))
        return Records(self.data, self.starts[row:], self.ends[row:], *kept)


class BrokenTableError(click.ClickException):
    """The text is no table, or not one of this dialect."""


class _FlawError(Exception):
    """`reason`, found at `position` of the data."""

    def __init__(self, position: int, reason: str) -> None:
        self.position, self.reason = int(position), reason


def read_records(
    path: Path, dialect: Dialect, *, width: int, skip: int = 0, block_bytes: int = BLOCK_BYTES
) -> Iterator[Records]:
    """All rows of the text at `path` but the first `skip`, each of `width` values.

    Raises:
        BrokenTableError: naming the line where a row is shorter or longer, a quote does not end, or bytes are no UTF-8.
    """
    line, rest = 1, b""
    with open_text(path) as stream:
        while True:
            block = stream.read(block_bytes)
            data = rest + block
            try:
                records, used = _split(data, dialect, final=not block)
                _check_text(data[:used])
                passed = min(skip, len(records.starts))
                skip -= passed
                records = records.since(passed)
                _check_width(records, width)
                rest = data[used:]
                if len(rest) > max(LONGEST_BYTES, block_bytes):
                    raise _FlawError(
                        used, f"longer than {LONGEST_BYTES >> 20} MB: a quote that does not end, or no line ends"
                    )
            except _FlawError as flaw:
                place = line + count_lines(data[: flaw.position])
                raise BrokenTableError(f"{path.name}: line {place}: {flaw.reason}; {REMEDY}") from flaw
            line += count_lines(data[:used])
            if len(records.starts):
                yield records
            if not block:
                return


class Count(NamedTuple):
    """How many rows a text has; whether there is any quote in it; whether one is doubled within a quoted value."""

    rows: int
    quotes: bool
    doubled: bool


def count_rows(path: Path, dialect: Dialect, *, width: int, skip: int, block_bytes: int = BLOCK_BYTES) -> Count:
    """Count the rows of the text at `path` in this dialect.

    Raises:
        BrokenTableError: as `read_records`.
    """
    rows, quotes, doubled = 0, False, False
    for records in read_records(path, dialect, width=width, skip=skip, block_bytes=block_bytes):
        rows += len(records.starts)
        quotes = quotes or b'"' in records.data
        doubled = doubled or bool((np.diff(records.quotes)[1::2] == 1).any())
    return Count(rows, quotes, doubled)


def count_lines(data: bytes) -> int:
    """How often a line ends: by LF, CR LF, or CR alone."""
    return data.count(b"\n") + data.count(b"\r") - data.count(b"\r\n")


def _split(data: bytes, dialect: Dialect, *, final: bool) -> tuple[Records, int]:
    """The rows that end within `data`, and how many bytes they take; `final` where nothing comes after it."""
    text = np.frombuffer(data, np.uint8)
    quotes = _quotes(text, ord(dialect.separator)) if dialect.quoted else _NOWHERE
    breaks = outside(np.flatnonzero((text == _LF) | (text == _CR)), quotes)
    after = text[np.minimum(breaks + 1, len(text) - 1)]
    last = breaks == len(text) - 1
    # A CR before a LF ends no line of its own; at the end of a block that is not known yet.
    breaks = breaks[(text[breaks] == _LF) | np.where(last, final, after != _LF)]
    starts = np.concatenate(([0], breaks + 1))[:-1]
    ends = breaks - ((breaks > starts) & (text[breaks] == _LF) & (text[breaks - 1] == _CR))
    used = int(breaks[-1]) + 1 if len(breaks) else 0
    if final and used < len(data):
        if len(quotes) % 2:
            raise _FlawError(quotes[-1], "a value begins with a quote that does not end")
        starts, ends, used = np.append(starts, used), np.append(ends, len(data)), len(data)
    filled = ends > starts
    separators = outside(np.flatnonzero(text[:used] == ord(dialect.separator)), quotes)
    return Records(data[:used], starts[filled], ends[filled], separators, quotes[: np.searchsorted(quotes, used)]), used


def outside(positions: Positions, quotes: Positions) -> Positions:
    """Those of `positions` that lie in no quotes: an even number of them comes before."""
    return positions[np.searchsorted(quotes, positions) % 2 == 0] if len(quotes) else positions


def _quotes(text: NDArray[np.uint8], separator: int) -> Positions:
    """Positions of the quotes that open, close or are doubled, so that every second one closes."""
    quotes = np.flatnonzero(text == _QUOTE)
    if not len(quotes):
        return quotes
    bounds = np.zeros(256, bool)
    bounds[[separator, _LF, _CR]] = True
    before = bounds[text[quotes - 1]] | (quotes == 0)
    after = bounds[text[np.minimum(quotes + 1, len(text) - 1)]] | (quotes == len(text) - 1)
    joined = np.append(np.diff(quotes) == 1, False)  # to the next one
    opening, closing = slice(0, None, 2), slice(1, None, 2)
    if (before | np.insert(joined, 0, False)[:-1])[opening].all() and (after | joined)[closing].all():
        return quotes
    return _quotes_one_by_one(quotes, before, after, joined)


def _quotes_one_by_one(
    quotes: Positions, before: NDArray[np.bool_], after: NDArray[np.bool_], joined: NDArray[np.bool_]
) -> Positions:
    """The same where some quotes are text: whether one is depends on all that come before."""
    found: list[int] = []
    quoted = doubled = False
    for position, opens, closes, doubles in zip(
        quotes.tolist(), before.tolist(), after.tolist(), joined.tolist(), strict=True
    ):
        if doubled:
            doubled = False
        elif not quoted:
            if not opens:
                continue
            quoted = True
        elif doubles:
            doubled = True
        elif closes:
            quoted = False
        else:
            raise _FlawError(position, "text behind a closing quote: a quote that is not doubled, or a stray one")
        found.append(position)
    return np.array(found, np.int64)


def _check_text(data: bytes) -> None:
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            wrong = data[error.start]
            raise _FlawError(
                error.start, f"invalid UTF8 data (byte 0x{wrong:02X}), another encoding perhaps"
            ) from error
    if b"\0" in data:
        raise _FlawError(data.index(b"\0"), "a NUL byte: UTF-16 without its byte order mark, or no text at all")


def _check_width(records: Records, width: int) -> None:
    rows, separators = len(records.starts), records.separators
    if rows * (width - 1) == len(separators):
        table = separators.reshape(rows, width - 1)
        if width == 1 or ((table[:, 0] >= records.starts) & (table[:, -1] < records.ends)).all():
            return
    counts = np.searchsorted(separators, records.ends) - np.searchsorted(separators, records.starts) + 1
    row = int(np.flatnonzero(counts != width)[0])
    raise _FlawError(records.starts[row], f"Expected {width} columns, got {counts[row]}")
