"""`index.csv`: which patch lies where."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from satclip.sphere import check_lonlat

INDEX = "index.csv"
COLUMNS = ("lat", "lon", "fn")


@dataclass(frozen=True)
class Index:
    """Patch names (file names without folder) and their places, float64 [N, 2] as longitude, latitude in degrees."""

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
    """Read and check an `index.csv` with the columns lat, lon, fn; others are ignored.

    Raises:
        ValueError: a column is missing, a value is not a number or not a place, or a name stands there twice.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise ValueError(
                f"{path} has no column {', '.join(missing)}, only {', '.join(header) or 'nothing'}; "
                "it needs lat, lon (degrees) and fn (the patch's file name)"
            )
        latitude, longitude, name = (header.index(column) for column in COLUMNS)
        names, places = [], []
        for row in reader:
            try:
                places.append((float(row[longitude]), float(row[latitude])))
                names.append(PurePosixPath(row[name].strip()).name)
            except (ValueError, IndexError) as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error}; mend or remove the line") from None
    lonlat = torch.tensor(places, dtype=torch.float64).reshape(-1, 2)
    try:
        check_lonlat(lonlat)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"{path} lists {len(repeated)} patches twice: {', '.join(repeated[:10])}; keep one row each")
    return Index(names, lonlat)


def join(patches: Sequence[str], index: Index) -> Join:
    """Match patches to index rows by name."""
    rows = {name: row for row, name in enumerate(index.names)}
    pairs = [(position, rows[name]) for position, name in enumerate(patches) if name in rows]
    held = set(patches)
    return Join(
        torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2),
        unlisted=[name for name in patches if name not in rows],
        absent=[name for name in index.names if name not in held],
    )


def write_index(path: Path, names: Sequence[str], lonlat: Tensor) -> None:
    """Write an `index.csv` that `read_index` gives back bit for bit."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        rows = zip(names, lonlat.tolist(), strict=True)
        writer.writerows((latitude, longitude, name) for name, (longitude, latitude) in rows)
