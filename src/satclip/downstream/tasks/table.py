"""Columns of a CSV file, plain or gzipped, with every row accounted for."""

import csv
import gzip
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
Array = NDArray[np.float64]


class Reader(Protocol):
    """What `csv.reader` gives."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]:
        """Rows."""
        ...


MISSING = ("", "na", "n/a", "nan", "null", "none")
MISSING_CLASS = ("", "n/a", "nan")  # NA is Namibia, and "none" may be a class
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?")
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]+,[0-9]*|,[0-9]+)([eE][+-]?[0-9]+)?")


def header(path: Path) -> list[str]:
    """Names of the columns.

    Raises:
        ValueError: the file is empty or not UTF-8.
    """
    return _read(path, None)[0]


def columns(path: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """The columns `names` as text, stripped.

    Raises:
        ValueError: a column is missing or there twice, a row has more or fewer values than the header, or the file is
            not UTF-8.
    """
    return _read(path, names)[1]


def numbers(values: Sequence[str], *, what: str) -> Array:
    """Float64 [N] of a column of text; NaN where a value is missing.

    Commas stand between thousands (1,234.5) where every one of them can, before decimals (12,5) where they cannot.

    Raises:
        ValueError: a value is no number; names its row and `what`. Or decimals stand behind commas and behind points.
    """
    mark = "." if _decimal_commas(values, what) else ""
    found = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        if value.lower() in MISSING:
            continue
        if not is_number(value):
            raise ValueError(f"{what}, row {row + 1} of the data: {value!r} is no number; mend the row")
        found[row] = float(value.replace(",", mark))
    return found


def is_number(value: str) -> bool:
    """Whether text is a number, with a point, a comma before its decimals, or commas between its thousands."""
    if "," in value:
        return bool(_THOUSANDS.fullmatch(value) or _DECIMAL_COMMA.fullmatch(value))
    try:
        float(value)
    except ValueError:
        return False
    return "_" not in value  # Python's own way of writing thousands


def _decimal_commas(values: Sequence[str], what: str) -> bool:
    """Whether the commas of a column stand before decimals.

    Raises:
        ValueError: some do, and other numbers have a point there.
    """
    commas = [value for value in values if "," in value and is_number(value)]
    decimal = next((value for value in commas if not _THOUSANDS.fullmatch(value)), None)
    if decimal is None:
        if commas and all("." not in value and value.count(",") == 1 for value in commas):
            log.warning(
                "%s: commas are taken as marks of thousands, %s is %g; if they stand before decimals, write points",
                *(what, commas[0], float(commas[0].replace(",", ""))),
            )
        return False
    point = next((value for value in values if "." in value and is_number(value)), None)
    if point is not None:
        raise ValueError(f"{what} has decimals behind commas ({decimal}) and behind points ({point}); write points")
    return True


def codes(values: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Int64 codes [N] into the sorted classes, -1 where a value is missing."""
    classes = tuple(sorted({value for value in values if value.lower() not in MISSING_CLASS}))
    number = {name: code for code, name in enumerate(classes)}
    return np.array([number.get(value, -1) for value in values], np.int64), classes


def _read(path: Path, names: Sequence[str] | None) -> tuple[list[str], dict[str, list[str]]]:
    try:
        with _opened(path) as file:
            first = file.readline()
            mark = max(",;\t|", key=first.count)
            file.seek(0)
            # Tab-separated files are not quoted: a lone quotation mark there would swallow the rows after it.
            reader = csv.reader(file, delimiter=mark, quoting=csv.QUOTE_NONE if mark == "\t" else csv.QUOTE_MINIMAL)
            found = [name.strip() for name in next(reader, [])]
            if not found:
                raise ValueError(f"{path} is empty; fetch it again")
            if names is None:
                return found, {}
            return found, _columns(path, reader, found, names)
    except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}); save it as CSV in UTF-8") from error


def _columns(path: Path, reader: Reader, found: list[str], names: Sequence[str]) -> dict[str, list[str]]:
    absent = [name for name in names if name not in found]
    if absent:
        raise ValueError(
            f"{path} has no column {', '.join(absent)}; it has {', '.join(found)}; give a file that has it"
        )
    twice = [name for name in names if found.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has two columns called {', '.join(twice)}; rename one")
    places = [found.index(name) for name in names]
    wanted: dict[str, list[str]] = {name: [] for name in names}
    for row in reader:
        if not row:
            continue
        if len(row) != len(found):
            raise ValueError(
                f"{path}, line {reader.line_num}: {len(row)} values, not {len(found)} as in the header; mend the line"
            )
        for name, place in zip(names, places, strict=True):
            wanted[name].append(row[place].strip())
    return wanted


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", newline="", encoding="utf-8-sig")
    return path.open(newline="", encoding="utf-8-sig")
