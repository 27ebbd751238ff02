"""`index.csv`: which patch lies where."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from satclip.data.sources.names import file_name, patch_name, repeated
from satclip.sphere import bad_lonlat, check_lonlat

INDEX = "index.csv"
COLUMNS = ("lat", "lon", "fn")
SEPARATORS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Index:
    """Patch names (see `patch_name`) and their places, float64 [N, 2] as longitude, latitude in degrees."""

    names: list[str]
    lonlat: Tensor


@dataclass(frozen=True)
class Join:
    """What two lists of names have in common.

    Attributes:
        pairs: [M, 2], position among the patches and position in the index, in the order of the patches.
        unlisted: patches without an index row.
        absent: index rows without a patch.
    """

    pairs: Tensor
    unlisted: list[str]
    absent: list[str]


def read_index(path: Path) -> Index:
    """Read and check an `index.csv` with the columns lat, lon, fn in any order; others are ignored.

    Commas, semicolons (also with decimal commas), tabs and bars separate; the first line decides. UTF-8, with or
    without a byte order mark, and any line ends. No row is skipped but an empty one.

    Raises:
        ValueError: a column is missing, a row has more or fewer fields than the first line, a value is not a number or
            not a place, or a name stands there twice; names the line.
    """
    text = _text(path)
    first = text.split("\n", 1)[0].split("\r", 1)[0]
    separator = next((each for each in SEPARATORS if set(COLUMNS) <= set(_header(first, each))), ",")
    header = _header(first, separator)
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}, only {', '.join(header) or 'nothing'}; "
            "it needs lat, lon (degrees) and fn (the patch's file name)"
        )
    latitude, longitude, name = (header.index(column) for column in COLUMNS)
    names, places, lines = [], [], []
    for line, row in _rows(text, separator, len(header), path):
        try:
            places.append((_degrees(row[longitude], separator), _degrees(row[latitude], separator)))
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}; mend or remove the line") from None
        names.append(patch_name(row[name].strip()))
        lines.append(line)
    lonlat = torch.tensor(places, dtype=torch.float64).reshape(-1, 2)
    try:
        check_lonlat(lonlat)
    except ValueError as error:
        line = lines[int(bad_lonlat(lonlat).nonzero()[0])]
        raise ValueError(f"{path}: {error}; mend or remove line {line}") from None
    twice = repeated(names)
    if twice:
        where = ", ".join(str(line) for line, each in zip(lines, names, strict=True) if each == twice[0])
        raise ValueError(
            f"{path} lists {len(twice)} patches twice: {', '.join(twice[:10])}; keep one row each "
            f"(the first stands in lines {where})"
        )
    return Index(names, lonlat)


def _text(path: Path) -> str:
    """The file's text.

    Raises:
        ValueError: it is not UTF-8; names the line.
    """
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line}: not UTF-8 text; save it as UTF-8") from None


def _header(line: str, separator: str) -> list[str]:
    return [name.strip().strip('"').strip().lower() for name in line.split(separator)] if line else []


def _rows(text: str, separator: str, width: int, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row but the first line and empty ones.

    A quote that is opened and not closed would swallow the rows that follow: a row never goes over a line's end here.
    Between tabs a quote is a letter like others, as GBIF and PostgreSQL write it.
    """
    lines = io.StringIO(text, newline="")
    if separator == "\t":
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, delimiter=separator, strict=True)
    before = 0
    try:
        for row in reader:
            line, before = before + 1, reader.line_num
            if reader.line_num > line:
                raise ValueError(f"{path}, line {line}: a quote is not closed on its line; mend or remove it")
            if line == 1 or not any(field.strip() for field in row):
                continue
            if len(row) < width or any(row[width:]):
                raise ValueError(
                    f"{path}, line {line}: {len(row)} fields where the first line has {width}; mend or remove the line"
                )
            yield line, row
    except csv.Error as error:
        what = "a quote is not closed on its line" if "end of data" in str(error) else str(error)
        raise ValueError(f"{path}, line {before + 1}: {what}; mend or remove the line") from None


def _degrees(text: str, separator: str) -> float:
    return float(text.replace(",", ".") if separator != "," and text.count(",") == 1 else text)


def join(patches: Sequence[str], index: Index) -> Join:
    """Match patches to index rows by name, else by file name alone where that is clear on both sides."""
    rows = {name: row for row, name in enumerate(index.names)}
    pairs = {position: rows[name] for position, name in enumerate(patches) if name in rows}
    if len(pairs) < len(patches):
        taken = set(pairs.values())
        short = {file_name(name): row for row, name in enumerate(index.names)}
        theirs, ours = Counter(map(file_name, index.names)), Counter(map(file_name, patches))
        for position, name in enumerate(patches):
            last = file_name(name)
            if position not in pairs and theirs[last] == ours[last] == 1 and short[last] not in taken:
                pairs[position] = short[last]
    held = set(pairs.values())
    return Join(
        torch.tensor(sorted(pairs.items()), dtype=torch.int64).reshape(-1, 2),
        unlisted=[name for position, name in enumerate(patches) if position not in pairs],
        absent=[name for row, name in enumerate(index.names) if row not in held],
    )


def write_index(path: Path, names: Sequence[str], lonlat: Tensor) -> None:
    """Write an `index.csv` that `read_index` gives back bit for bit."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        rows = zip(names, lonlat.tolist(), strict=True)
        writer.writerows((latitude, longitude, name) for name, (longitude, latitude) in rows)
