"""All usable patches of a data set, with their places, divided into training and validation."""

import logging
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from satclip.data.hashing import shuffled
from satclip.data.patches import Batch, Form, MemoryPatches, Patches, common_form, decode_all
from satclip.data.source import Source
from satclip.data.table import Table, complain, place_patches, validation_rows

log = logging.getLogger(__name__)
PROBED = 8  # patches that are decoded at the start to learn what they look like


@dataclass(frozen=True)
class Split:
    """How validation is chosen: "block" for whole cells of `degrees`, "random" for patches; about `fraction` of all."""

    kind: str
    fraction: float
    degrees: float


@dataclass(frozen=True)
class Collection:
    """What a run reads.

    Attributes:
        source: the bytes, by row.
        lonlat: places by row, float64 [N, 2] in degrees, NaN for rows that are not used.
        form: what a patch looks like.
        train_rows, val_rows: ascending row numbers, int64.
        memory: all patches decoded, where they are kept so.
    """

    source: Source
    lonlat: Tensor
    form: Form
    train_rows: Tensor
    val_rows: Tensor
    memory: MemoryPatches | None

    def dataset(self, *, training: bool) -> Dataset[Batch]:
        """Raw batches by row numbers; in training another patch stands in for a bad one."""
        if self.memory is not None:
            return self.memory
        rows = self.train_rows if training else self.val_rows
        return Patches(self.source, self.lonlat, self.form, rows, replace=training)


def collect(
    source: Source, root: Path, *, bands: int, split: Split, max_bad_fraction: float, keep_in_memory: bool
) -> Collection:
    """Find places, look at a few patches, decode all of them if they are to stay in memory, and split.

    Raises:
        FileNotFoundError: no places are to be found.
        ValueError: too much is missing or broken, or the split is impossible.
    """
    table = place_patches(source, root, max_bad_fraction)
    rows, memory = table.rows, None
    form = common_form(source, rows[shuffled(len(rows), 0)[:PROBED]].tolist(), bands)
    if keep_in_memory:
        images, rows, bad = decode_all(source, form, rows)
        broken = [f"{name} ({cause}: {detail})" for name, cause, detail in bad]
        complain(broken, len(table.rows), max_bad_fraction, f"patches in {root} that cannot be used")
        memory = MemoryPatches(images, rows, table.lonlat)
    held_out = validation_rows(
        Table(table.lonlat, rows), source.names, split=split.kind, fraction=split.fraction, degrees=split.degrees
    )
    found = Collection(source, table.lonlat, form, rows[~held_out], rows[held_out], memory)
    log.info("%s: %d patches to train on, %d to validate", root, len(found.train_rows), len(found.val_rows))
    return found
