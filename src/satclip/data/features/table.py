"""A table of vectors by place: what `satclip embed` writes, another encoder's embeddings, AlphaEarth samples."""

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.columns import find_lonlat
from satclip.data.sources.places import complain
from satclip.optional_import import require
from satclip.sphere import bad_lonlat

SUFFIXES = (".parquet", ".npy", ".csv", ".csv.gz")
EMBEDDING = "embedding"
TOGETHER = 1000  # rows that are shuffled as if they were one shard
NUMBERED = re.compile(r"(.*?)(\d+)")
Columns = Mapping[str, Any]


class VectorTable:
    """Vectors by place: `satclip.data.features.protocol.PlacedVectors` of one view.

    Parquet and CSV have columns of longitude and latitude (named as `satclip embed` finds them) and either a column of
    lists, `embedding`, or one column a number: e0, e1, ...; A00, A01, .... For `vectors.npy`, float [N, K], a
    `vectors.csv` beside it has the places, row by row. A row without a place, or whose vector is not finite, is left
    out and counted.

    Args:
        path: of the table.
        max_bad_fraction: the maximum tolerated fraction of rows that are left out.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it has no such columns, or too many rows cannot be used.
        ModuleNotFoundError: pyarrow is needed, and not installed.
    """

    views, pixels, width_km = 0, 0, 0.0

    def __init__(self, path: Path, max_bad_fraction: float = 0.01) -> None:
        lonlat, vectors = _read(path)
        found = torch.from_numpy(vectors)
        unplaced, broken = bad_lonlat(lonlat), ~found.isfinite().all(1)
        usable = ~(unplaced | broken)
        self.rows = usable.nonzero().flatten()
        self.left_out = {"without_place": int(unplaced.sum()), "not_finite": int((broken & ~unplaced).sum())}
        self.names = [f"row {number}" for number in range(1, len(lonlat) + 1)]
        bad = [self.names[row] for row in (~usable).nonzero().flatten().tolist()]
        complain(bad, len(lonlat), max_bad_fraction, f"rows of {path} without a place or a finite vector")
        self.lonlat = torch.where(usable[:, None], lonlat, torch.nan)
        self.held_out = torch.zeros(len(lonlat), dtype=torch.bool)
        self.shard_sizes = [min(TOGETHER, len(lonlat) - first) for first in range(0, len(lonlat), TOGETHER)]
        self._vectors = found[self.rows]
        self.facts: Mapping[str, Any] = {**table_facts(path), "dim": found.shape[1]}

    def view(self, number: int | None) -> Tensor:
        """The vectors, float32 [M, K]."""
        return self._vectors


def is_table(path: Path) -> bool:
    """Whether a path names a table, and no folder with a store."""
    return path.name.endswith(SUFFIXES)


def table_facts(path: Path) -> dict[str, Any]:
    """What a table says of itself without being read whole: name, numbers a vector, no bands, no images.

    Raises:
        FileNotFoundError, ValueError, ModuleNotFoundError: as `VectorTable`.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; dataset.root is a store of features or a table of vectors by place")
    name = path.name.split(".")[0]
    return {"name": name, "dim": _width(path), "bands": [], "image_size": None, "views": 0, "teacher": str(path.name)}


def _width(path: Path) -> int:
    if path.suffix == ".npy":
        return int(_npy(path).shape[1])
    if path.suffix == ".parquet":
        require("cli", "pyarrow")
        import pyarrow.parquet as pq

        schema = pq.read_schema(path)
        if EMBEDDING in schema.names:
            kind = schema.field(EMBEDDING).type
            size = getattr(kind, "list_size", -1)
            return size if size > 0 else len(pq.ParquetFile(path).read_row_group(0).column(EMBEDDING)[0])
        return len(_numbered(schema.names, path))
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        first = file.readline().decode("utf-8-sig", errors="replace")
    return len(_numbered(next(csv.reader([first]), []), path))


def _read(path: Path) -> tuple[Tensor, NDArray[np.float32]]:
    """Places, float64 [N, 2], and vectors, float32 [N, K]."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; dataset.root is a store of features or a table of vectors by place")
    if path.suffix == ".npy":
        vectors = np.array(_npy(path), np.float32)
        places = _places(path.with_suffix(".csv"))
        if len(places) != len(vectors):
            raise ValueError(f"{path} has {len(vectors)} rows and the places beside it {len(places)}; give one a row")
        return places, vectors
    require("cli", "pyarrow")
    import pyarrow as pa
    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else pacsv.read_csv(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(
            f"{path} cannot be read ({error}); write it as Parquet, CSV, or npy with a CSV beside"
        ) from error
    lon, lat = find_lonlat(table.column_names)
    lonlat = np.stack([_floats(table[name]) for name in (lon, lat)], 1).astype(np.float64)
    if EMBEDDING in table.column_names:
        lists = table[EMBEDDING].to_numpy(zero_copy_only=False)
        widths = {0 if each is None else len(each) for each in lists}
        width = max(widths, default=0)
        if widths - {0, width} or not width:
            raise ValueError(f"{path}: the lists in `{EMBEDDING}` have {sorted(widths)} numbers; give all as many")
        missing = np.full(width, np.nan, np.float32)
        vectors = np.stack([missing if each is None or not len(each) else each for each in lists]).astype(np.float32)
    else:
        vectors = np.stack([_floats(table[name]) for name in _numbered(table.column_names, path)], 1).astype(np.float32)
    return torch.from_numpy(lonlat), np.ascontiguousarray(vectors)


def _npy(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}); write it by numpy.save") from error
    if array.ndim != 2 or array.dtype.kind != "f":
        raise ValueError(f"{path} holds {array.dtype} {list(array.shape)}; vectors are floats [N, K]")
    return array


def _places(path: Path) -> Tensor:
    if not path.is_file():
        raise FileNotFoundError(f"no {path}, which says where the rows of the vectors lie; give columns lon and lat")
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = list(csv.DictReader(file))
    lon, lat = find_lonlat(list(lines[0]) if lines else [])
    return torch.tensor([[_number(line[lon]), _number(line[lat])] for line in lines], dtype=torch.float64)


def _number(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")  # counted with those that have no place


def _floats(column: Any) -> NDArray[Any]:
    return np.asarray(column.cast("float64").to_numpy(zero_copy_only=False))


def _numbered(names: Sequence[str], path: Path) -> list[str]:
    """The columns e0, e1, ... or A00, A01, ..., in the order of their numbers."""
    families: dict[str, dict[int, str]] = defaultdict(dict)
    for name in names:
        if found := NUMBERED.fullmatch(name):
            families[found[1]][int(found[2])] = name
    whole = [each for each in families.values() if len(each) > 1 and sorted(each) == list(range(len(each)))]
    if len(whole) != 1:
        raise ValueError(
            f"{path} has the columns {', '.join(names[:12])}{' ...' if len(names) > 12 else ''}; its vectors need one "
            f"column of lists called {EMBEDDING}, or one column a number: e0, e1, ..."
        )
    return [whole[0][number] for number in sorted(whole[0])]
