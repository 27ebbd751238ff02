"""Blocks of the Earth that trainings leave out, by their hash alone: the benchmark asks so without the framework."""

import torch
from torch import Tensor

from satclip.hashing import hashed
from satclip.sphere import block_ids

# Never changed: the same places are held out for every seed, model and number of processes, in every version.
BLOCK_SALT = 20_250_101


def in_held_out_block(lonlat: Tensor, fraction: float, degrees: float = 5.0) -> Tensor:
    """Whether any training with `dataset.split=block` leaves out the block of each place, whatever its own places are.

    [N, 2] degrees -> bool [N], all False where none of their blocks is left out. (`satclip.data.split.rule.block_split`
    holds out one block at least, which may be one that a training with more blocks has seen.)
    """
    check_fraction(fraction)
    return lower(block_hashes(lonlat, degrees), fraction)


def block_hashes(lonlat: Tensor, degrees: float) -> Tensor:
    """The hash of the block of each place: [N, 2] degrees -> int64 [N]."""
    return hashed(BLOCK_SALT, block_ids(lonlat, degrees))


def lower(hashes: Tensor, fraction: float) -> Tensor:
    """Whether each lies in the lower `fraction` of all hashes there are: int64 [N] -> bool [N]."""
    return hashes.to(torch.float64) < (fraction - 0.5) * 2.0**64


def check_fraction(fraction: float) -> None:
    """Raise ValueError unless a part, and not all, is for validation."""
    if not 0 < fraction < 1:
        raise ValueError(f"dataset.val_fraction must lie between 0 and 1, got {fraction}")
