"""Which places are tested and which may teach: draws that are the same for every encoder and every label count.

| hold-out   | tested                                                   | what it asks                               |
|------------|----------------------------------------------------------|--------------------------------------------|
| random     | a fifth of the places, rows at one place together        | interpolation between labels               |
| cells      | a fifth of the cells of c x c degrees                    | the same without labels nearby             |
| continents | one continent                                            | extrapolation                              |
| buffers    | half of the places in a fifth of the cells; other places | how the score falls with distance; beside  |
|            | within b km of them teach nothing                        | it as many dropped at random, its control  |
| fixed      | the test part that comes with the data, or the blocks    | comparison with a published number;        |
|            | that an encoder's training left out                      | extrapolation of the encoder itself        |
"""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import GLOBAL_CELLS, Array, Labels
from satclip.downstream.evaluate.sphere_index import within

Rows = NDArray[np.int64]
FOLDS = 5
GLOBAL_EXTENT = 90.0  # degrees; a smaller set gets smaller held-out cells
FEWEST_TESTED = 50  # a continent with fewer labelled places is not held out


@dataclass(frozen=True)
class Draw:
    """One hold-out.

    Attributes:
        holdout: "random", "cells 10", "continents", "buffer 100 km", "buffer 100 km, control", "fixed"
            or another name of a split that comes with the set.
        number: counts the draws of a hold-out.
        part: which part is tested, where it has a name ("Africa").
        test: rows that are tested, [M].
        pool: rows that may teach, in the order in which they are asked for labels: the first n are the n labels, [P].
        groups: places that are held out together, by id, [N]; each its own where it is random.
        cells: by which an interval resamples, [N].
        buffer_km: nothing nearer than this to a tested place teaches, in the inner folds as outside; None where the
            hold-out is none by buffer.
        repeated: whether an earlier draw tests the same places with the same pool, in another order.
    """

    holdout: str
    number: int
    part: str
    test: Rows
    pool: Rows
    groups: Rows
    cells: Rows
    buffer_km: float | None = None
    repeated: bool = False


def keyed(*keys: int | str) -> np.random.Generator:
    """A generator that depends on its keys and on nothing else."""
    return np.random.default_rng([k if isinstance(k, int) else _number(k) for k in keys])


def cell_of(lonlat: Array, degrees: float) -> Rows:
    """The `degrees` x `degrees` cell of each place, [N]; 190 and -170 degrees east are one longitude."""
    longitude = (lonlat[:, 0] + 180) % 360
    column, row = np.floor(longitude / degrees), np.floor((lonlat[:, 1] + 90) / degrees)
    cell: Rows = (row * np.ceil(360 / degrees) + column).astype(np.int64)
    return cell


def same_place(lonlat: Array) -> Rows:
    """The number of the first row that lies where each does, [N]: 190 and -170 degrees are one longitude, a pole one
    place."""
    longitude = np.where(np.abs(lonlat[:, 1]) == 90, 0.0, lonlat[:, 0] % 360)
    _, first, inverse = np.unique(
        np.stack([longitude, lonlat[:, 1] + 0.0], 1), axis=0, return_index=True, return_inverse=True
    )
    found: Rows = first[inverse.ravel()]
    return found


def folds_of_groups(groups: Rows, folds: int, generator: np.random.Generator) -> Rows:
    """Deal whole groups out to `folds` numbers as evenly as their count allows: [N] -> [N]."""
    ids, inverse = np.unique(groups, return_inverse=True)
    rank = np.empty(len(ids), dtype=np.int64)
    rank[generator.permutation(len(ids))] = np.arange(len(ids))
    fold: Rows = rank[inverse] % folds
    return fold


def cells_for(lonlat: Array) -> tuple[float, ...]:
    """Sizes of held-out cells for the extent of places in degrees [N, 2]: the global ones, or smaller."""
    finite = lonlat[np.isfinite(lonlat).all(1)]
    if not len(finite):
        return GLOBAL_CELLS
    around = np.sort(finite[:, 0] % 360)
    widest_gap = np.diff(around, append=around[0] + 360).max()  # so that the date line cuts nothing
    extent = max(360 - widest_gap, np.ptp(finite[:, 1]))
    if not 0 < extent < GLOBAL_EXTENT:
        return GLOBAL_CELLS
    return tuple(float(f"{extent / parts:.2g}") for parts in (40, 20, 10, 5))


def middle_cells(labels: Labels) -> float:
    """The cell size in degrees by which random and named hold-outs resample: 10 for a global set."""
    return labels.cell_degrees[min(1, len(labels.cell_degrees) - 1)]


def random_draws(labels: Labels, draws: int, seed: int) -> Iterator[Draw]:
    """Five folds of single places, again and again with another deal until there are `draws`.

    Rows at one place go together: a place that teaches would otherwise be tested.
    """
    each = same_place(labels.lonlat)
    yield from _dealt(labels, "random", each, cell_of(labels.lonlat, middle_cells(labels)), draws, seed)


def cell_draws(labels: Labels, degrees: float, draws: int, seed: int) -> Iterator[Draw]:
    """Five folds of whole cells, again and again with another deal until there are `draws`.

    Raises:
        ValueError: when the places lie in fewer cells than there are folds.
    """
    cells = cell_of(labels.lonlat, degrees)
    count = len(np.unique(cells))
    if count < FOLDS:
        raise ValueError(
            f"{labels.name} lies in {count} cells of {degrees:g} degrees, {FOLDS} are needed; give it smaller cells "
            "(cell_degrees)"
        )
    yield from _dealt(labels, f"cells {degrees:g}", cells, cells, draws, seed)


def part_draws(labels: Labels, parts: Rows, names: tuple[str, ...], draws: int, seed: int) -> Iterator[Draw]:
    """Each named part in turn (continents), until there are `draws` or more; -1 is no part and may always teach."""
    tested = [part for part in range(len(names)) if (parts == part).sum() >= FEWEST_TESTED]
    if len(tested) < 2:
        return
    cells = cell_of(labels.lonlat, middle_cells(labels))
    for number in range(-(-draws // len(tested)) * len(tested)):
        part = tested[number % len(tested)]
        pool = keyed(seed, "continents", number).permutation(np.flatnonzero(parts != part))
        test, repeated = np.flatnonzero(parts == part), number >= len(tested)
        yield Draw("continents", number, names[part], test, pool, parts, cells, repeated=repeated)


def buffer_draws(labels: Labels, buffers_km: tuple[float, ...], draws: int, seed: int) -> Iterator[Draw]:
    """Per draw and buffer, the exclusion and its control, all on the same tested places."""
    degrees = middle_cells(labels)
    cells = cell_of(labels.lonlat, degrees)
    for number in range(draws):
        generator = keyed(seed, "buffers", number)
        inside = np.flatnonzero(folds_of_groups(cells, FOLDS, generator) == 0)
        test = np.sort(generator.permutation(inside)[: -(-len(inside) // 2)])
        others = generator.permutation(np.setdiff1d(np.arange(len(cells)), test))
        for km in buffers_km:
            near = within(labels.lonlat[others], labels.lonlat[test], km) if km > 0 else np.zeros(len(others), bool)
            kept, equally_many = others[~near], others[: int((~near).sum())]
            yield Draw(f"buffer {km:g} km", number, "", test, kept, cells, cells, km)
            if km == 0:  # nothing is dropped: it is its own control
                continue
            yield Draw(f"buffer {km:g} km, control", number, "", test, equally_many, np.arange(len(cells)), cells)


def fixed_draws(labels: Labels, draws: int, seed: int) -> Iterator[Draw]:
    """The split that comes with the data; draws differ in which labels are asked for first."""
    if labels.fixed_split is None:
        return
    cells = cell_of(labels.lonlat, middle_cells(labels))
    whole = labels.fixed_degrees
    groups = np.arange(len(labels.target)) if whole is None else cell_of(labels.lonlat, whole)
    test, others = np.flatnonzero(labels.fixed_split), np.flatnonzero(~labels.fixed_split)
    for number in range(draws):
        pool = keyed(seed, "fixed", number).permutation(others)
        yield Draw(labels.fixed_name, number, "", test, pool, groups, cells, repeated=number > 0)


def _dealt(labels: Labels, holdout: str, groups: Rows, cells: Rows, draws: int, seed: int) -> Iterator[Draw]:
    for number in range(draws):
        fold = folds_of_groups(groups, FOLDS, keyed(seed, holdout, number // FOLDS)) == number % FOLDS
        pool = keyed(seed, holdout, "labels", number).permutation(np.flatnonzero(~fold))
        yield Draw(holdout, number, "", np.flatnonzero(fold), pool, groups, cells)


def _number(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "little")
