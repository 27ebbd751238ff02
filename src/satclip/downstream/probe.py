"""Linear probes of a location encoder, beside the encodings that cost nothing."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from satclip.data.split.rule import block_split
from satclip.downstream.places import FEWEST, LabelledPlaces
from satclip.downstream.ridge import probe
from satclip.downstream.seen import UNKNOWN, Seen
from satclip.downstream.table import Cell, Table
from satclip.embedding import embed
from satclip.hashing import uniform
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.sphere import block_ids

log = logging.getLogger(__name__)
OURS = "embedding"
RANDOM_TEST, PENALTY_PART = 0.2, 0.2
# 1,600 features. Beyond it the probe of the bare harmonics would take minutes and have more features than places.
MOST_LEGENDRE_POLYS = 40
_TEST_SALT, _RANDOM_SALT, _BLOCK_SALT = 301, 302, 303


@dataclass(frozen=True, eq=False)
class Split:
    """Which places are tested on, and which of the others choose the penalty: bool [N] each."""

    name: str
    test: Tensor
    held: Tensor


def splits(lonlat: Tensor, *, val_fraction: float = 0.1, split_degrees: float = 5.0) -> tuple[Split, Split]:
    """The random split (80/20) and the block split of places in degrees [N, 2].

    Given the fraction and size of the imagery's own block split, the block split tests on the very blocks that were
    kept from training: then neither the encoder nor the probe has seen anything there.
    """
    number = torch.arange(len(lonlat))
    block = block_ids(lonlat, split_degrees)
    return (
        Split("random", uniform(_TEST_SALT, number) < RANDOM_TEST, uniform(_RANDOM_SALT, number) < PENALTY_PART),
        Split(
            "block",
            block_split(lonlat, val_fraction, split_degrees),
            uniform(_BLOCK_SALT, block) < PENALTY_PART,
        ),
    )


def usable(found: Sequence[Split], *, quiet: bool = False) -> list[Split]:
    """The splits that can be trained, tuned and tested on: in a small region there may be one block only.

    Raises:
        ValueError: none can.
    """
    kept = [split for split in found if split.test.any() and (~split.test & split.held).any()]
    kept = [split for split in kept if (~split.test & ~split.held).any()]
    left = [split.name for split in found if split not in kept]
    if not kept:
        raise ValueError(
            "the probe's places are too few to train, tune and test on; report.probe_places=10000 has more"
        )
    if left and not quiet:
        log.warning("the probe's %s split is left out: its places are too few to train, tune and test on", *left)
    return kept


def feature_sets(encoder: LocationEncoder, lonlat: Tensor) -> dict[str, Tensor]:
    """What the probe is given of each place, float64 [N, F] by name: ours first, then the plain encodings.

    "untrained" is the same encoder with fresh weights: what its shape is worth before it has seen an image. The bare
    harmonics are those of the encoder's own L, 10 where it has none, at most 40.
    """
    config = encoder.config()
    legendre_polys = min(config["encoding"].get("legendre_polys", 10), MOST_LEGENDRE_POLYS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = LocationEncoder.from_config(config)
    sets = {
        OURS: embed(encoder, lonlat),
        "untrained": embed(untrained, lonlat),
        "lonlat": lonlat,
        "cartesian3d": embed(ENCODINGS["cartesian3d"](), lonlat),
        "wrap": embed(ENCODINGS["wrap"](), lonlat),
        f"harmonics, L = {legendre_polys}": embed(ENCODINGS["sphericalharmonics"](legendre_polys), lonlat),
    }
    return {name: features.double() for name, features in sets.items()}


def probe_table(
    encoder: LocationEncoder,
    places: LabelledPlaces,
    *,
    val_fraction: float = 0.1,
    split_degrees: float = 5.0,
    seen: Seen | None = None,
    described: str = "",
) -> Table:
    """Score every feature set on every task under both splits.

    Columns: split, test n (places tested on), imagery (what the encoder has seen of them), features, numbers (how many
    a place has), then one per task, R2 or accuracy on the test places, whose labels the probe has not seen.

    Args:
        encoder: what is probed.
        places: with their labels.
        val_fraction: about how much the block split tests on.
        split_degrees: side of its blocks.
        seen: what the encoder was trained on; None where that is not known.
        described: which weights these are, for the title.

    Raises:
        ValueError: when there are too few places for a split.
    """
    labels = [places.labels[task.name] for task in places.tasks]
    sets = feature_sets(encoder, places.lonlat)
    rows: list[tuple[Cell, ...]] = []
    for split in usable(splits(places.lonlat, val_fraction=val_fraction, split_degrees=split_degrees)):
        count = int(split.test.sum())
        if count < FEWEST:
            log.warning(
                "the probe's %s split has %d test places: with fewer than %d its scores are noise; "
                "report.probe_places=10000 has more",
                *(split.name, count, FEWEST),
            )
        imagery = UNKNOWN if seen is None else seen.of(places.lonlat[split.test])
        rows += [
            (
                *(split.name, count, imagery if name == OURS else "none", name, features.shape[1]),
                *probe(features, labels, split.test, split.held),
            )
            for name, features in sets.items()
        ]
    heads = (f"{task.name} {task.metric}" for task in places.tasks)
    title = (
        f"Ridge probes{described and f' of the {described}'}: {len(places.lonlat):,} places{places.where and ' '}"
        f"{places.where}, tested at random or in whole blocks of {split_degrees:g} degrees"
    )
    return Table(title, ("split", "test n", "imagery", "features", "numbers", *heads), tuple(rows))


def probe_figures(
    encoder: LocationEncoder, places: LabelledPlaces, *, val_fraction: float = 0.1, split_degrees: float = 5.0
) -> dict[str, float]:
    """The scores of the encoder alone, as `figures` names those of the table.

    Raises:
        ValueError: when there are too few places for a split.
    """
    labels = [places.labels[task.name] for task in places.tasks]
    features = embed(encoder, places.lonlat).double()
    found: dict[str, float] = {}
    for split in usable(splits(places.lonlat, val_fraction=val_fraction, split_degrees=split_degrees), quiet=True):
        scores = probe(features, labels, split.test, split.held)
        found |= {_name(split.name, f"{t.name} {t.metric}"): s for t, s in zip(places.tasks, scores, strict=True)}
    return found


def figures(table: Table) -> dict[str, float]:
    """`probe/block/elevation_R2`, ...: the scores of our own encoder in the table of a probe, by name."""
    return {
        _name(str(row[0]), column): float(value)
        for row in table.rows
        if row[3] == OURS
        for column, value in zip(table.columns[5:], row[5:], strict=True)
    }


def _name(split: str, column: str) -> str:
    return f"probe/{split}/{column.replace(' ', '_')}"
