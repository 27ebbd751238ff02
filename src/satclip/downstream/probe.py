"""Linear probes of a location encoder, beside the encodings that cost nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from satclip.data.hashing import uniform
from satclip.data.split import block_split
from satclip.downstream.places import LabelledPlaces
from satclip.downstream.ridge import probe
from satclip.downstream.table import Cell, Table
from satclip.embedding import embed
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.sphere import block_ids

OURS = "embedding"
RANDOM_TEST, PENALTY_PART = 0.2, 0.2
# 1,600 features. Beyond it the probe of the bare harmonics would take minutes and have more features than places.
MOST_LEGENDRE_POLYS = 40
_TEST_SALT, _RANDOM_SALT, _BLOCK_SALT = 301, 302, 303


@dataclass(frozen=True)
class Split:
    """Which places are tested on, and which of the others choose the penalty: bool [N] each."""

    name: str
    test: Tensor
    held: Tensor


def splits(lonlat: Tensor, *, val_fraction: float = 0.1, split_degrees: float = 5.0) -> tuple[Split, Split]:
    """The random split (80/20) and the block split of places in degrees [N, 2].

    The block split tests on the very blocks that the block split of the imagery keeps from training, so give it the
    same fraction and size: then neither the encoder nor the probe has seen anything there.
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
    encoder: LocationEncoder, places: LabelledPlaces, *, val_fraction: float = 0.1, split_degrees: float = 5.0
) -> Table:
    """Score every feature set on every task under both splits.

    Columns: split, features, numbers (how many a place has), then one per task, R2 or accuracy on unseen places.

    Raises:
        ValueError: when there are too few places for a split.
    """
    names = [task.name for task in places.tasks]
    labels = [places.labels[name] for name in names]
    sets = feature_sets(encoder, places.lonlat)
    random, block = splits(places.lonlat, val_fraction=val_fraction, split_degrees=split_degrees)
    rows: list[tuple[Cell, ...]] = [
        (split.name, name, features.shape[1], *probe(features, labels, split.test, split.held))
        for split in (random, block)
        for name, features in sets.items()
    ]
    heads = (f"{task.name} {task.metric}" for task in places.tasks)
    blocks = len(set(block_ids(places.lonlat[block.test], split_degrees).tolist()))
    title = (
        f"Ridge probes of {len(places.lonlat):,} places on land, scored on unseen ones: {int(random.test.sum()):,} "
        f"at random, or {int(block.test.sum()):,} in {blocks} whole blocks of {split_degrees:g} degrees"
    )
    return Table(title, ("split", "features", "numbers", *heads), tuple(rows))
