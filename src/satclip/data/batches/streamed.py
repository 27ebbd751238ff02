"""One pass after another over shards that are never stored: any address, no local disk, and weaker promises.

What reading by offset promises and this cannot:
- the order depends on the number of processes and workers;
- a patch may come twice in an epoch and another not at all, as each worker goes through the shards in its own order
  until its share of batches is full (only so does no process ever wait for another);
- samples mix within a buffer of each worker, not across a window of shards;
- a restart begins with another pass, not with the next batch;
- validation is as many batches as the data has, of about every sample once.
"""

import logging
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from satclip.data.batches.bad_patches import BadPatch
from satclip.data.batches.batch import RawBatch
from satclip.data.batches.loader import Loader, Plan
from satclip.data.batches.order import check_batch_size, part
from satclip.data.batches.patches import PatchFormat, form_of
from satclip.data.batches.regional import ALL_AT_ONCE
from satclip.data.geotiff.bands import Bands
from satclip.data.geotiff.decode import decoding
from satclip.data.geotiff.pixels import BadPatchError
from satclip.data.sources.download import opened
from satclip.data.sources.index_csv import Index
from satclip.data.sources.names import file_name
from satclip.data.sources.tar_index import name_in_tar
from satclip.data.split.division import Division, divide
from satclip.data.split.footprint import footprint_km
from satclip.data.split.rule import Split
from satclip.hashing import hashed, shuffled

log = logging.getLogger(__name__)
BUFFER = 256  # patches of each worker that are mixed with each other, as they came: 0.5 to 1 MB each


class Stream(IterableDataset[RawBatch]):
    """`batches` batches an epoch, straight from the shards: the form of `Patches`.

    Args:
        urls: addresses of shards.
        index: names and places of the patches; others are skipped.
        rows: those of its rows that belong to this part of the data.
        form: what a patch looks like.
        plan: batch size, seed and process.
        shuffle: whether order is mixed.
    """

    def __init__(
        self, urls: Sequence[str], index: Index, rows: Tensor, form: PatchFormat, plan: Plan, *, shuffle: bool
    ) -> None:
        self.urls, self.lonlat, self.form, self.plan, self.shuffle = list(urls), index.lonlat, form, plan, shuffle
        self.names = index.names
        self.rows: dict[str, int] = {index.names[row]: row for row in rows.tolist()}
        once = {name for name, count in Counter(map(file_name, index.names)).items() if count == 1}
        self._short = {last: row for name, row in self.rows.items() if (last := file_name(name)) in once}
        self._met: dict[int, str] = {}  # the full names of those that were found by their file name alone
        self.batch_size = len(range(plan.batch_size)[part(plan.batch_size, plan.world_size, plan.rank)])
        self.batches = max(1, len(rows) // plan.batch_size)
        self._running: Iterator[tuple[int, bytes]] | None = None

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[RawBatch]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info is not None else (0, 1)
        if self._running is None or not self.shuffle:  # in training, a persistent worker continues its pass
            self._running = self._samples(self.plan.rank * workers + worker)
        mine = part(self.batches, workers, worker)
        for _ in range(mine.stop - mine.start):
            yield self._batch(self._running)

    def _batch(self, samples: Iterator[tuple[int, bytes]]) -> RawBatch:
        """The next usable patches.

        Raises:
            OSError: there is hardly one among a great many.
        """
        rows: list[int] = []
        sizes: list[tuple[int, int]] = []
        images = self.form.batch(self.batch_size)
        pixels = images.numpy()
        bad: list[BadPatch] = []
        with decoding():
            while len(rows) < self.batch_size:
                row, data = next(samples)
                try:
                    sizes.append(self.form.decode(data, pixels[len(rows)]))
                    rows.append(row)
                except BadPatchError as error:
                    bad.append(BadPatch(self.names[row], error.cause, str(error)))
                    if len(bad) > 100 * self.batch_size:
                        raise OSError(f"{len(bad)} bad patches and {len(rows)} good ones, the last: {error}") from None
        ids = torch.tensor(rows)
        return {"image": images, "lonlat": self.lonlat[ids], "id": ids, "bad": bad, **self.form.extent(sizes)}

    def _samples(self, reader: int) -> Iterator[tuple[int, bytes]]:
        """Rows and GeoTIFFs without end, in training mixed within a buffer."""
        keys = (self.plan.seed, reader)
        held: list[tuple[int, bytes]] = []
        for turn, sample in enumerate(self._rounds(keys, reader)):
            if not self.shuffle:
                yield sample
                continue
            held.append(sample)
            if len(held) == min(BUFFER, len(self.rows)):
                chosen = int(hashed(*keys, turn)) % len(held)
                held[chosen], held[-1] = held[-1], held[chosen]
                yield held.pop()

    def _rounds(self, keys: tuple[int, int], reader: int) -> Iterator[tuple[int, bytes]]:
        """Shard after shard, all of them again and again.

        Raises:
            OSError: no shard of a whole round gave anything.
        """
        for turn in count():
            found, troubles = 0, []
            order = shuffled(len(self.urls), *keys, turn).tolist() if self.shuffle else list(range(len(self.urls)))
            begin = 0 if self.shuffle else reader % len(order)
            for shard in order[begin:] + order[:begin]:
                try:
                    for name, data in patches_of(self.urls[shard]):
                        if (row := self._row(name)) is not None:
                            found += 1
                            yield row, data
                except (OSError, ValueError) as error:
                    log.warning("%s broke off: %s", self.urls[shard], error)
                    troubles.append(f"{self.urls[shard]}: {error}")
            if not found:
                reasons = "\n  ".join(troubles) or "the names in index.csv are not those in the shards"
                raise OSError(f"no shard gives a single patch:\n  {reasons}")

    def _row(self, name: str) -> int | None:
        """The row of a patch, by its name or else by its file name where one row alone has that; None for others.

        Raises:
            LookupError: another patch has the same file name, and the index does not tell them apart.
        """
        if name in self.rows:
            return self.rows[name]
        row: int | None = self._short.get(file_name(name))
        if row is not None and self._met.setdefault(row, name) != name:
            raise LookupError(f"index.csv means {self._met[row]} or {name} by {self.names[row]}; give their folders")
        return row


def patches_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Names and GeoTIFFs of a shard, front to back; the same ones as by offset.

    Raises:
        OSError: it cannot be opened, or breaks off.
        ValueError: it is no tar.
    """
    with opened(url) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for member in tar:
                    if (name := name_in_tar(member)) is not None and (file := tar.extractfile(member)) is not None:
                        yield name, file.read()
        except (tarfile.TarError, MemoryError, OverflowError, EOFError) as error:
            raise ValueError(f"{url} is not a readable tar: {error}") from None


@dataclass(frozen=True)
class StreamedPatches:
    """What a run reads, when nothing of it is stored; see `IndexedPatches`."""

    urls: Sequence[str]
    index: Index
    form: PatchFormat
    train_rows: Tensor
    val_rows: Tensor
    left_out: dict[str, int]  # by the buffer; bad patches are only found by reading the stream
    division: Division

    @property
    def names(self) -> Sequence[str]:
        """Of patches, by row of the index."""
        return self.index.names

    @property
    def lonlat(self) -> Tensor:
        """Places by row of the index, float64 [N, 2] in degrees."""
        return self.index.lonlat

    def train_loader(self, plan: Plan) -> Loader:
        """Shuffled batches; a stream begins a new pass and cannot resume in mid-epoch, nor gather regions."""
        if plan.regional:
            raise ValueError(ALL_AT_ONCE)
        check_batch_size(plan.batch_size, len(self.train_rows), plan.world_size)
        if plan.start[1]:
            log.warning("a stream cannot resume in the middle of an epoch: it begins another pass")
        stream = Stream(self.urls, self.index, self.train_rows, self.form, plan, shuffle=True)
        return Loader(stream, None, min(plan.workers, len(stream)))

    def val_loader(self, plan: Plan) -> Loader:
        """As many batches as the validation samples fill."""
        stream = Stream(self.urls, self.index, self.val_rows, self.form, plan, shuffle=False)
        return Loader(stream, None, min(plan.workers, len(stream)))

    def sample(self, count: int, seed: int) -> RawBatch:
        """The first `count` validation samples; a stream ignores `seed`."""
        plan = Plan(batch_size=min(count, len(self.val_rows)), seed=seed, window=1, workers=0)
        return next(iter(Stream(self.urls, self.index, self.val_rows, self.form, plan, shuffle=False)))


def collect_stream(urls: Sequence[str], index: Index, *, bands: Bands, split: Split, least: int = 1) -> StreamedPatches:
    """Look at the first patches of the stream and split the index.

    Raises:
        OSError: the first shard cannot be read.
        ValueError: the patches cannot be used.
    """
    log.warning(
        "streaming without a local cache: the order depends on the number of processes and workers, an epoch may "
        "repeat patches and leave others out, and a restart does not repeat it; dataset.cache_gib=50 avoids all of this"
    )
    first = [patch for patch, _ in zip(patches_of(urls[0]), range(3), strict=False)]
    form = form_of(
        (data for _, data in first), [f"patch {number} of {urls[0]}" for number in range(len(first))], bands, least
    )
    rows = {file_name(name): row for row, name in enumerate(index.names)}
    with decoding():
        known = ((data, rows.get(file_name(name))) for name, data in first)
        placed = ((data, index.lonlat[row].tolist()) for data, row in known if row is not None)
        width_km = footprint_km(placed)
    division = divide(
        split,
        index.lonlat,
        index.names,
        torch.zeros(len(index.names), dtype=torch.bool),
        width_km=width_km,
        pixels=max(form.size),
    )
    left_out = {"buffer": division.buffered}
    return StreamedPatches(urls, index, form, division.train, division.validation, left_out, division)
