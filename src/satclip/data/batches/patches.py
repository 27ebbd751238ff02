"""Batches of raw patches, decoded when they are asked for or once and for all."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset

from satclip import ranks
from satclip.data.batches.bad_patches import BadPatch
from satclip.data.batches.batch import RawBatch, Sizes
from satclip.data.batches.batch_memory import batch_memory
from satclip.data.geotiff.bands import Bands
from satclip.data.geotiff.decode import decode, decoding
from satclip.data.geotiff.pixels import Array, BadPatchError
from satclip.data.sources.protocol import Source

log = logging.getLogger(__name__)
CHUNK = 256  # patches that a thread decodes at a time


@dataclass(frozen=True)
class PatchFormat:
    """What every patch must look like.

    Attributes:
        bands: how many it holds.
        read: positions of those that are decoded.
        size: pixels down and across. Of a larger patch the middle is taken, and a smaller one fills the upper left.
        dtype: uint8, uint16, int16 or float32.
        least: pixels that a patch must have both ways.
    """

    bands: int
    read: tuple[int, ...]
    size: tuple[int, int]
    dtype: str
    least: int = 1

    def room(self, count: int) -> Array:
        """Memory for so many patches, [count, K, H, W] where K bands are decoded."""
        return np.empty(self._shape(count), dtype=self.dtype)

    def batch(self, count: int) -> Tensor:
        """A tensor for so many patches, [count, K, H, W]."""
        return batch_memory(self._shape(count), self.dtype)

    def _shape(self, count: int) -> tuple[int, ...]:
        return count, len(self.read), *self.size

    def decode(self, data: bytes, out: Array) -> tuple[int, int]:
        """Decode one patch into `out`, [K, H, W]; returns how far down and across it goes there.

        Raises:
            BadPatchError: it is too small or of another type, or cannot be used at all.
        """
        filled = decode(data, bands=self.bands, read=self.read, out=out, least=self.least)
        return filled.shape[1], filled.shape[2]

    def extent(self, sizes: Sequence[tuple[int, int]]) -> Sizes:
        """What a batch says of its patches' sizes: {"size": int64 [B, 2]} where some are smaller, else nothing."""
        return {"size": torch.tensor(sizes)} if any(size != self.size for size in sizes) else {}


def form_of(patches: Iterable[bytes], names: Sequence[str], bands: Bands, least: int = 1) -> PatchFormat:
    """The form of most of those GeoTIFFs that have `least` pixels both ways.

    Raises:
        ValueError: none of them can be used; says why of each.
    """
    forms, complaints = Counter[PatchFormat](), []
    with decoding():
        for data, name in zip(patches, names, strict=True):
            try:
                pixels = decode(data, bands=bands.held, read=bands.read, least=least)
                size = (pixels.shape[1], pixels.shape[2])
                forms[PatchFormat(bands.held, bands.read, size, str(pixels.dtype), least)] += 1
            except BadPatchError as error:
                complaints.append(f"{name}: {error}")
    if not forms:
        reasons = "\n  ".join(complaints)
        raise ValueError(
            f"no patch of {len(names)} that were tried can be used:\n  {reasons}\n"
            "dataset.file_bands names the bands that the files hold, dataset.image_size the pixels of a crop; "
            "`python scripts/check_shards.py ROOT` looks at every patch"
        )
    return forms.most_common(1)[0][0]


class Patches(Dataset[RawBatch]):
    """Batches by row numbers: {"image" [B, K, H, W] as in the files, "lonlat" float64 [B, 2], "id" int64 [B], "bad"}.

    "size" int64 [B, 2] is there too where some are smaller than [H, W]; see `PatchFormat`. "bad" lists each
    `BadPatch`, of what could not be used. In training the next usable training patch of the source's order stands in,
    so that a batch keeps its size on every process; in validation a bad patch is skipped.

    Args:
        source: where the bytes are.
        lonlat: places by row, float64 [N, 2].
        form: what the patches look like.
        rows: the rows of this part of the data, in the source's order.
        replace: whether the next patch stands in for a bad one.
        may_be_empty: whether a batch may be of bad patches alone.
    """

    def __init__(
        self,
        source: Source,
        lonlat: Tensor,
        form: PatchFormat,
        rows: Tensor,
        *,
        replace: bool,
        may_be_empty: bool = False,
    ) -> None:
        self.source, self.lonlat, self.form, self.rows, self.replace = source, lonlat, form, rows, replace
        self.may_be_empty = may_be_empty

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Sequence[int]) -> RawBatch:
        images = self.form.batch(len(rows))
        pixels: Array = images.numpy()
        used: list[int] = []
        sizes: list[tuple[int, int]] = []
        bad: list[BadPatch] = []
        with decoding():
            for row in rows:
                for candidate in self._candidates(row):
                    try:
                        sizes.append(self.form.decode(self.source.read(candidate), pixels[len(used)]))
                    except BadPatchError as error:
                        bad.append(BadPatch(self.source.names[candidate], error.cause, str(error)))
                    else:
                        used.append(candidate)
                        break
        if not used and not self.may_be_empty:
            listed = ", ".join(f"{name} ({cause})" for name, cause, _ in bad)
            raise ValueError(
                f"every patch of a batch is bad: {listed}; `python scripts/check_shards.py ROOT` tells more"
            )
        ids = torch.tensor(used, dtype=torch.int64)
        return {
            "image": images[: len(used)], "lonlat": self.lonlat[ids], "id": ids, "bad": bad, **self.form.extent(sizes)
        }  # fmt: skip

    def _candidates(self, row: int) -> Iterator[int]:
        """The row itself, then those that may stand in for it."""
        yield row
        if self.replace:
            position = int(torch.searchsorted(self.rows, row))
            yield from (int(self.rows[(position + step) % len(self.rows)]) for step in range(1, len(self.rows)))


class MemoryPatches(Dataset[RawBatch]):
    """Batches cut out of one tensor of patches that were decoded beforehand; `rows` says which row lies where."""

    def __init__(self, images: Tensor, rows: Tensor, lonlat: Tensor, sizes: Tensor | None = None) -> None:
        self.images, self.lonlat, self.sizes = images, lonlat, sizes
        self.places = torch.full((len(lonlat),), -1, dtype=torch.int64)
        self.places[rows] = torch.arange(len(rows))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: Sequence[int]) -> RawBatch:
        ids = torch.tensor(rows, dtype=torch.int64)
        places = self.places[ids]
        if self.images.dtype == torch.uint16:  # torch indexes no uint16; as int16 the bits are the same
            images = self.images.view(torch.int16)[places].view(torch.uint16)
        else:
            images = self.images[places]
        extent: Sizes = {} if self.sizes is None else {"size": self.sizes[places]}
        return {"image": images, "lonlat": self.lonlat[ids], "id": ids, "bad": [], **extent}


def decode_all(
    source: Source, form: PatchFormat, rows: Tensor, lonlat: Tensor
) -> tuple[MemoryPatches, Tensor, list[BadPatch]]:
    """Every patch of `rows`, with their places by row of the source: (them, their rows int64 [M], the bad ones).

    Raises:
        ValueError: they do not fit into the machine's memory.
    """
    needed = len(rows) * form.room(1).nbytes
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > 0.8 * memory:
        raise ValueError(
            f"{len(rows)} patches take {needed / 2**30:.0f} GiB decoded and the machine has {memory / 2**30:.0f} GiB; "
            "give dataset.keep_in_memory=false"
        )
    images = form.room(len(rows))

    sizes = np.zeros((len(rows), 2), np.int64)

    def decode_chunk(first: int) -> tuple[list[int], list[BadPatch]]:
        good, bad = [], []
        with decoding():
            for position, row in enumerate(rows[first : first + CHUNK].tolist(), first):
                try:
                    sizes[position] = form.decode(source.read(row), images[position])
                    good.append(position)
                except BadPatchError as error:
                    bad.append(BadPatch(source.names[row], error.cause, str(error)))
        return good, bad

    chunks = range(0, len(rows), CHUNK)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        work = threads.map(decode_chunk, chunks)
        quiet = ranks.rank() > 0
        results = list(track(work, "Decoding", total=len(chunks), transient=True, disable=quiet))
    good = torch.tensor([position for chunk, _ in results for position in chunk], dtype=torch.int64)
    bad = [complaint for _, chunk in results for complaint in chunk]
    decoded = torch.from_numpy(images)
    if bad:
        plain = torch.int16 if form.dtype == "uint16" else decoded.dtype
        decoded = decoded.view(plain)[good].view(decoded.dtype)
    extent = form.extent([(int(height), int(width)) for height, width in sizes[good.numpy()]]).get("size")
    return MemoryPatches(decoded, rows[good], lonlat, extent), rows[good], bad
