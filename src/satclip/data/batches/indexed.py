"""All usable patches of a data set, with their places, divided into training and validation."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from satclip.data.batches.bad_patches import in_words
from satclip.data.batches.batch import RawBatch
from satclip.data.batches.loader import Loader, Plan
from satclip.data.batches.order import train_batches, validation_batches
from satclip.data.batches.patches import MemoryPatches, Patches, PatchFormat, decode_all, form_of
from satclip.data.batches.regional import ALL_AT_ONCE
from satclip.data.geotiff.bands import Bands
from satclip.data.geotiff.decode import decoding
from satclip.data.sources.cached_shards import CachedShards, LookAhead
from satclip.data.sources.places import complain, place_patches
from satclip.data.sources.protocol import Source
from satclip.data.split.division import Division, divide
from satclip.data.split.footprint import footprint_km
from satclip.data.split.rule import Split
from satclip.hashing import shuffled

log = logging.getLogger(__name__)
AHEAD = 64  # batches that are prefetched of shards that lie elsewhere, where they are read in their order
PROBED = 8  # patches that are decoded at the start to learn what they look like


@dataclass(frozen=True)
class IndexedPatches:
    """What a run reads.

    Attributes:
        source: the bytes, by row.
        lonlat: places by row, float64 [N, 2] in degrees, NaN for rows that are not used.
        form: what a patch looks like.
        train_rows, val_rows: ascending row numbers, int64.
        left_out: how many are not used, by cause, as is known at the start.
        division: what the split and its buffer made of them, by position among the usable ones.
        memory: all patches decoded, where they are kept so.
    """

    source: Source
    lonlat: Tensor
    form: PatchFormat
    train_rows: Tensor
    val_rows: Tensor
    left_out: dict[str, int]
    division: Division
    memory: MemoryPatches | None = None

    @property
    def names(self) -> Sequence[str]:
        """Of patches, by row."""
        return self.source.names

    def train_loader(self, plan: Plan) -> Loader:
        """Shuffled batches of one size from `plan.start` on.

        Raises:
            ValueError: regional batches of shards that lie elsewhere and are fetched in their order.
        """
        if plan.regional and isinstance(self.source, CachedShards) and self.memory is None:
            raise ValueError(ALL_AT_ONCE)
        batches = train_batches(self.train_rows, self.source.shard_sizes, self.lonlat, plan)
        return self._loader(self.dataset(training=True), batches, plan)

    def val_loader(self, plan: Plan) -> Loader:
        """Every validation sample once over all processes, in a fixed order."""
        batches = validation_batches(self.val_rows, plan)
        return self._loader(self.dataset(training=False), batches, plan)

    def sample(self, count: int, seed: int) -> RawBatch:
        """At most `count` validation samples drawn by `seed`, raw."""
        rows = self.val_rows[shuffled(len(self.val_rows), seed)[:count]].sort().values
        return self.dataset(training=False)[rows.tolist()]

    def dataset(self, *, training: bool) -> Dataset[RawBatch]:
        """Raw batches by row numbers; in training another patch stands in for a bad one."""
        if self.memory is not None:
            return self.memory
        rows = self.train_rows if training else self.val_rows
        return Patches(self.source, self.lonlat, self.form, rows, replace=training)

    def _loader(self, dataset: Dataset[RawBatch], batches: Sampler[list[int]], plan: Plan) -> Loader:
        if isinstance(self.source, CachedShards) and self.memory is None:
            depth = plan.window * len(self.lonlat) // (len(self.source.urls) * plan.batch_size) + 1
            batches = LookAhead(batches, self.source, depth)
        return Loader(dataset, batches, 0 if self.memory is not None else plan.workers)


@dataclass(frozen=True)
class UsablePatches:
    """Patches before they are divided.

    Attributes:
        source, lonlat, form, left_out, memory: as in `IndexedPatches`.
        rows: those that can be used, as far as is known, ascending, int64 [M].
        width_km: ground that a patch covers; None where no patch says.
    """

    source: Source
    lonlat: Tensor
    form: PatchFormat
    rows: Tensor
    left_out: dict[str, int]
    width_km: float | None
    memory: MemoryPatches | None = None

    def loader(self, batches: Sequence[list[int]], workers: int) -> Loader:
        """Raw batches of these rows, in this order; bad patches are skipped and listed, none stands in for them."""
        dataset = Patches(self.source, self.lonlat, self.form, self.rows, replace=False, may_be_empty=True)
        sampler: Sampler[list[int]] = Fixed(batches)
        if isinstance(self.source, CachedShards):
            sampler = LookAhead(sampler, self.source, AHEAD)
        return Loader(dataset, sampler, min(workers, len(batches)))


class Fixed(Sampler[list[int]]):
    """Batches of given rows."""

    def __init__(self, batches: Sequence[list[int]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def examine(
    source: Source, root: Path, *, bands: Bands, max_bad_fraction: float, keep_in_memory: bool, least: int = 1
) -> UsablePatches:
    """Find places, look at a few patches, and decode all of them if they are to stay in memory.

    Patches of fewer than `least` pixels either way are bad.

    Raises:
        FileNotFoundError: no places are to be found.
        ValueError: too much is missing or broken.
    """
    table = place_patches(source, root, max_bad_fraction)
    rows, memory, left_out = table.rows, None, Counter(table.left_out)
    probed = rows[shuffled(len(rows), 0)[:PROBED]].tolist()
    patches = [source.read(row) for row in probed]
    form = form_of(patches, [source.names[row] for row in probed], bands, least)
    with decoding():
        width_km = footprint_km(zip(patches, table.lonlat[probed].tolist(), strict=True))
    if keep_in_memory:
        memory, rows, bad = decode_all(source, form, rows, table.lonlat)
        broken = [f"{name} ({cause}: {detail})" for name, cause, detail in bad]
        counts = Counter(cause for _, cause, _ in bad)
        what = f"patches in {root} that cannot be used ({in_words(counts)})"
        complain(broken, len(table.rows), max_bad_fraction, what)
        left_out += counts
    return UsablePatches(source, table.lonlat, form, rows, dict(left_out), width_km, memory)


def collect(
    source: Source,
    root: Path,
    *,
    bands: Bands,
    split: Split,
    max_bad_fraction: float,
    keep_in_memory: bool,
    least: int = 1,
) -> IndexedPatches:
    """`examine`, and split.

    Raises:
        FileNotFoundError: no places are to be found.
        ValueError: too much is missing or broken, or the split is impossible.
    """
    usable = examine(
        source, root, bands=bands, max_bad_fraction=max_bad_fraction, keep_in_memory=keep_in_memory, least=least
    )
    rows = usable.rows
    division = divide(
        split,
        usable.lonlat[rows],
        [source.names[row] for row in rows.tolist()],
        source.held_out[rows],
        width_km=usable.width_km,
        pixels=max(usable.form.size),
    )
    left_out = {**usable.left_out, "buffer": division.buffered}
    train, validation = rows[division.train], rows[division.validation]
    found = IndexedPatches(source, usable.lonlat, usable.form, train, validation, left_out, division, usable.memory)
    seen = bool(torch.isin(validation, train).all())  # split=all: their loss is not one of unseen places
    counts = f"{len(found.train_rows):,} patches to train on, {len(found.val_rows):,} {'of them ' * seen}to validate"
    log.info("%s: %s", root, counts)
    return found
