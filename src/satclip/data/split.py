"""Which places are for validation: a function of the place or the patch's name and of nothing else."""

from collections.abc import Sequence

import torch
from torch import Tensor

from satclip.data.hashing import hashed, text_keys
from satclip.data.names import shortest
from satclip.sphere import block_ids

# Never changed: the same places are held out for every seed, model and number of processes, in every version.
BLOCK_SALT, NAME_SALT = 20_250_101, 20_250_102


def block_split(lonlat: Tensor, fraction: float, degrees: float = 5.0) -> Tensor:
    """True for validation: whole cells of `degrees` by `degrees`, so that no validation place has a near neighbour.

    [N, 2] degrees -> bool [N]. About `fraction` of the cells, at least one of them, never all.
    """
    _check(fraction)
    return _below(hashed(BLOCK_SALT, block_ids(lonlat, degrees)), fraction)


def random_split(names: Sequence[str], fraction: float) -> Tensor:
    """True for validation: single patches by their name -> bool [N]. Neighbours overlap, so it flatters.

    Folders count only where file names alone do not tell the patches apart.
    """
    _check(fraction)
    return _below(hashed(NAME_SALT, text_keys(shortest(names))), fraction)


def _below(hashes: Tensor, fraction: float) -> Tensor:
    """The groups of equal hash that lie in the lower `fraction` of all hashes."""
    chosen = hashes.to(torch.float64) < (fraction - 0.5) * 2.0**64
    if chosen.any() and not chosen.all():
        return chosen
    # A handful of places: the lowest group alone is better than none.
    return hashes == hashes.min()


def _check(fraction: float) -> None:
    if not 0 < fraction < 1:
        raise ValueError(f"dataset.val_fraction must lie between 0 and 1, got {fraction}")
