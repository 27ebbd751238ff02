"""Every usable patch with its place."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from satclip.data.sources.index_csv import INDEX, join, read_index
from satclip.data.sources.protocol import Source
from satclip.sphere import bad_lonlat

log = logging.getLogger(__name__)
OLD_MIRROR = 94_164  # patches of S2-100K that an older mirror holds of the 100,000 in its index


@dataclass(frozen=True)
class Table:
    """Places of all rows of a source, and the rows that can be used.

    Attributes:
        lonlat: float64 [N, 2] in degrees by row of the source, NaN where no place is known.
        rows: int64 [M], ascending, those with a place.
        left_out: how many patches, or rows of index.csv, cannot be used, by cause.
    """

    lonlat: Tensor
    rows: Tensor
    left_out: dict[str, int]


def place_patches(source: Source, root: Path, max_bad_fraction: float) -> Table:
    """Find the place of each patch: in `root/index.csv`, or in the shards themselves where there is no such file.

    Raises:
        FileNotFoundError: there is no index.csv, and the patches carry no places of their own.
        ValueError: the index is malformed, or more patches lack a row, or rows a patch, than `max_bad_fraction` allows.
    """
    if not source.names:
        raise FileNotFoundError(f"not one *.tif in the shards or files of {root.absolute()}; give a folder of patches")
    twice = _later_ones(source.names)
    complain(
        [source.names[row] for row in twice],
        len(source.names),
        max_bad_fraction,
        f"patches in {root} of a name that another one has",
    )
    path = root / INDEX if (root / INDEX).exists() else source.index
    if path is not None:
        index = read_index(path)
        found = join(source.names, index)
        complain(found.unlisted, len(source.names), max_bad_fraction, f"patches in {root} without a row in index.csv")
        mirror = " (the older mirror of S2-100K: `make data` fetches the whole)" * (len(source.names) == OLD_MIRROR)
        complain(found.absent, len(index.names), max_bad_fraction, f"rows of {path} without a patch{mirror}")
        lonlat = torch.full((len(source.names), 2), torch.nan, dtype=torch.float64)
        lonlat[found.pairs[:, 0]] = index.lonlat[found.pairs[:, 1]]
        rows = _without(found.pairs[:, 0], twice)
        left_out = {
            "not_in_index": len(found.unlisted), "not_in_data": len(found.absent), "repeated": len(twice)
        }  # fmt: skip
        return Table(lonlat, rows, left_out)
    unplaced = source.lonlat.isnan().any(-1)
    if unplaced.all():
        raise FileNotFoundError(f"no index.csv in {root.absolute()}; it needs columns lat, lon (degrees) and fn (file)")
    unplaced |= bad_lonlat(source.lonlat)
    without = [source.names[row] for row in unplaced.nonzero().flatten().tolist()]
    complain(without, len(source.names), max_bad_fraction, f"patches in {root} without a place (there is no index.csv)")
    rows = _without((~unplaced).nonzero().flatten(), twice)
    return Table(source.lonlat, rows, {"without_place": len(without), "repeated": len(twice)})


def _later_ones(names: Sequence[str]) -> list[int]:
    """Rows whose name an earlier row has."""
    first: dict[str, int] = {}
    return [row for row, name in enumerate(names) if first.setdefault(name, row) != row]


def _without(rows: Tensor, dropped: Sequence[int]) -> Tensor:
    return rows[~torch.isin(rows, torch.tensor(dropped, dtype=torch.int64))] if dropped else rows


def complain(names: Sequence[str], total: int, max_bad_fraction: float, what: str) -> None:
    """Log what is skipped and name the first ten.

    Raises:
        ValueError: they are more than `max_bad_fraction` of the total.
    """
    if not names:
        return
    message = f"{len(names)} of {total} {what}: {', '.join(names[:10])}{' ...' if len(names) > 10 else ''}"
    if len(names) > max_bad_fraction * total:
        raise ValueError(
            f"{message}; that is more than dataset.max_bad_fraction={max_bad_fraction}: mend the data "
            "(`python scripts/check_shards.py ROOT` lists all that is wrong with it) or raise the limit"
        )
    log.warning("skipping %s", message)
