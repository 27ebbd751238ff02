"""Which places are for validation: a function of the place or the patch's name and of nothing else."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from satclip.blocks import block_hashes, check_fraction, lower
from satclip.data.sources.names import shortest
from satclip.hashing import hashed, text_keys

SPLITS = ("block", "random", "stored", "all")
AUTO = "auto"
NAME_SALT = 20_250_102  # never changed, as satclip.blocks.BLOCK_SALT


@dataclass(frozen=True)
class Split:
    """How validation is chosen.

    Attributes:
        kind: "block" for whole cells of `degrees`, "random" for patches, "stored" for what lies in shards of that name,
            "all" for patches that are trained on as well: the whole data set is seen, and nothing held out.
        fraction: about how much of all; not for "stored".
        degrees: side of a cell.
        buffer_km: side of the square about each patch that keeps training from validation; "auto" for the patches'
            width, 0 for no buffer (see `satclip.data.split.division`).
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
        elif self.kind in ("random", "all"):
            chosen = random_split(names, self.fraction)
        else:
            chosen = block_split(lonlat, self.fraction, self.degrees)
        if chosen.all():
            if self.kind in ("random", "all"):
                raise ValueError(f"{len(chosen)} patches cannot be split; training and validation need one each")
            raise ValueError(
                f"all {len(chosen)} patches lie in one block of {self.degrees} degrees, so none is left to train on; "
                "give a smaller dataset.split_degrees, or dataset.split=random"
            )
        return chosen


def block_split(lonlat: Tensor, fraction: float, degrees: float = 5.0) -> Tensor:
    """True for validation: whole cells of `degrees` by `degrees`, so that no validation place has a near neighbour.

    [N, 2] degrees -> bool [N]. About `fraction` of the cells, at least one of them, never all.
    """
    check_fraction(fraction)
    return _below(block_hashes(lonlat, degrees), fraction)


def random_split(names: Sequence[str], fraction: float) -> Tensor:
    """True for validation: single patches by their name -> bool [N]. Neighbours overlap, so it flatters.

    Folders count only where file names alone do not tell the patches apart.
    """
    check_fraction(fraction)
    return _below(hashed(NAME_SALT, text_keys(shortest(names))), fraction)


def _below(hashes: Tensor, fraction: float) -> Tensor:
    """The groups of equal hash that lie in the lower `fraction` of all hashes."""
    chosen = lower(hashes, fraction)
    if chosen.any() and not chosen.all():
        return chosen
    # A handful of places: the lowest group alone is better than none.
    return hashes == hashes.min()
