"""Every usable patch with its place, and which of them train."""

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from satclip.data.index import INDEX, join, read_index
from satclip.data.source import Source
from satclip.data.split import block_split, random_split
from satclip.sphere import bad_lonlat

log = logging.getLogger(__name__)
SPLITS = ("block", "random", "stored")
AUTO = "auto"
OLD_MIRROR = 94_164  # patches of S2-100K that an older mirror holds of the 100,000 in its index


@dataclass(frozen=True)
class Split:
    """How validation is chosen.

    Attributes:
        kind: "block" for whole cells of `degrees`, "random" for patches, "stored" for what lies in shards of that name.
        fraction: about how much of all; not for "stored".
        degrees: side of a cell.
        buffer_km: side of the square about each patch that keeps training from validation; "auto" for the patches'
            width, 0 for no buffer (see `satclip.data.division`).
    """

    kind: str
    fraction: float
    degrees: float
    buffer_km: float | str = AUTO

    def __post_init__(self) -> None:
        if self.kind not in SPLITS:
            raise ValueError(f"dataset.split is one of {', '.join(SPLITS)}, got {self.kind!r}")
        number = isinstance(self.buffer_km, (int, float)) and not isinstance(self.buffer_km, bool)
        if self.buffer_km != AUTO and not (number and 0 <= float(self.buffer_km) < math.inf):
            raise ValueError(
                "dataset.split_buffer_km takes auto (the patches' width), kilometres, or 0 for no buffer, "
                f"got {self.buffer_km!r}"
            )

    def validation(self, lonlat: Tensor, names: Sequence[str], stored: Tensor) -> Tensor:
        """True for validation, by place [N, 2], by name or as stored, bool [N] -> bool [N].

        Raises:
            ValueError: all patches lie in one block, or there is no stored split.
        """
        if self.kind == "stored":
            if stored.all() or not stored.any():
                raise ValueError(
                    "dataset.split=stored needs shards called validation-*.tar beside others, as "
                    "scripts/write_shards.py writes them; else give block or random"
                )
            chosen = stored
        elif self.kind == "random":
            chosen = random_split(names, self.fraction)
        else:
            chosen = block_split(lonlat, self.fraction, self.degrees)
        if chosen.all():
            if self.kind == "random":
                raise ValueError(f"{len(chosen)} patches cannot be split; training and validation need one each")
            raise ValueError(
                f"all {len(chosen)} patches lie in one block of {self.degrees} degrees, so none is left to train on; "
                "give a smaller dataset.split_degrees, or dataset.split=random"
            )
        return chosen


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
