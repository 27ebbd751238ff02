"""How fast patches come: as the published system reads them, from shards as published, and from our shards.

    python scripts/benchmarks/bench_loader.py data/some_s2_patches

The given patches (images/*.tif and index.csv) are repeated into shards of 1,000. Every way reads the same number of
patches on one core, from the files to batches of augmented float images of 13 bands; ways take turns, the median
counts.
Then: the pace of a worker process, the start with 100 shards of 1,000, and memory over 20 epochs.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from torch.utils.data import default_collate

from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.bands import SENTINEL2
from satclip.data.prepare.rewrite_shards import recompressed
from satclip.data.sources.folder import Folder
from satclip.data.sources.index_csv import read_index, write_index
from satclip.data.sources.shards import write_shard

PER_SHARD = 1000
COUNTED = 128  # patches of a repeat
BATCH = 64
START = """
import sys, time
from satclip.data.datamodule import S2DataModule
start = time.perf_counter()
data = S2DataModule(sys.argv[1], batch_size=int(sys.argv[2]), num_workers=int(sys.argv[3]))
data.setup()
ready = time.perf_counter()
batch = next(iter(data.train_dataloader()))
print(ready - start, time.perf_counter() - start, len(batch["id"]))
"""


class Material:
    """The patches, repeated under other names, in the forms that are compared."""

    def __init__(self, root: Path, folder: Path) -> None:
        source, index = Folder(root / "images"), read_index(root / "index.csv")
        places = dict(zip(index.names, index.lonlat.tolist(), strict=True))
        self.folder = folder
        self.files = [root / "images" / name for name in source.names]
        self.published = [source.read(row) for row in range(len(source.names))]
        self.ours = [recompressed(data) for data in self.published]
        self.places = [places[name] for name in source.names]

    def shards(self, name: str, patches: list[bytes], *, published: bool, count: int = PER_SHARD) -> Path:
        """One shard; as published it carries no places, index.csv does."""
        root = self.folder / name
        root.mkdir()
        names = [f"patch_{number}.tif" for number in range(count)]
        rows = [number % len(patches) for number in range(count)]
        if published:
            with tarfile.open(root / "shard-00000.tar", "w") as tar:
                for patch, row in zip(names, rows, strict=True):
                    about = tarfile.TarInfo(patch)
                    about.size = len(patches[row])
                    tar.addfile(about, io.BytesIO(patches[row]))
            write_index(root / "index.csv", names, torch.tensor([self.places[row] for row in rows]).double())
        else:
            samples = ((patch, patches[row], *self.places[row]) for patch, row in zip(names, rows, strict=True))
            write_shard(root / "shard-00000.tar", samples)
        return root


def the_published_way(files: list[Path], *, stack: bool = True) -> Callable[[], None]:
    """Patch by patch: open the file, to float, zeros for B10, crop, flips and blur; then stacked as by DataLoader."""
    transforms: Any = import_module("torchvision.transforms")
    augment = transforms.Compose(
        [
            transforms.RandomCrop(224),
            transforms.RandomVerticalFlip(),
            transforms.RandomHorizontalFlip(),
            transforms.GaussianBlur(3),
        ]
    )

    def image(number: int) -> torch.Tensor:
        with rasterio.open(files[number % len(files)]) as file:
            pixels = file.read().astype(np.float32) / 10_000
        missing = np.zeros((1, *pixels.shape[1:]), pixels.dtype)
        augmented: torch.Tensor = augment(torch.tensor(np.concatenate((pixels[:10], missing, pixels[10:]))))
        return augmented

    def work() -> None:
        for first in range(0, COUNTED, BATCH):
            numbers = range(first, first + BATCH)
            if stack:
                default_collate([image(number) for number in numbers])
            else:
                for number in numbers:
                    image(number)

    return work


def our_way(root: Path, *, bands: tuple[str, ...] = SENTINEL2, augment: bool = True) -> Callable[[], None]:
    """The loader without workers, and the transform that otherwise runs on the device."""
    data = S2DataModule(root, bands=bands, batch_size=BATCH, num_workers=0)
    data.setup()

    def work() -> None:
        for number, batch in enumerate(data.train_dataloader()):
            if augment:
                data.transform(batch, epoch=0)
            if (number + 1) * BATCH == COUNTED:
                return

    return work


def compare(ways: dict[str, Callable[[], None]], repeats: int) -> dict[str, float]:
    """Milliseconds of processor time a patch, the median over repeats in which the ways take turns."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            work()  # so that none pays for what the one before it left
            start = time.process_time()
            work()
            times[name].append((time.process_time() - start) / COUNTED * 1000)
    return {name: statistics.median(found) for name, found in times.items()}


def pace_of_a_worker(root: Path) -> float:
    """Milliseconds between one patch and the next from a worker process, with nothing else to do; raw."""
    data = S2DataModule(root, batch_size=BATCH, num_workers=1)
    data.setup()
    loader = data.train_dataloader()
    for _ in range(2):  # the second epoch counts
        batches = iter(loader)
        next(batches)
        start = time.perf_counter()
        count = sum(len(batch["id"]) for batch in batches)
    return (time.perf_counter() - start) / count * 1000


def measure_start(shard: Path, folder: Path, batch_size: int, workers: int) -> tuple[float, float]:
    """Seconds until 100 shards of 1,000 are ready, and until the first batch is there, in a process of its own."""
    root = folder / "many"
    root.mkdir()
    index = json.loads((shard / "shard-00000.tar.index.json").read_text())
    names = index["members"]["names"]
    for number in range(100):
        (root / f"shard-{number:05d}.tar").symlink_to(shard / "shard-00000.tar")
        index["members"]["names"] = [f"{number}_{name}" for name in names]  # every patch has a name of its own
        (root / f"shard-{number:05d}.tar.index.json").write_text(json.dumps(index))
    command = [sys.executable, "-c", START, str(root), str(batch_size), str(workers)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(found[0]), float(found[1])


def memory_growth(root: Path, epochs: int) -> list[float]:
    """MiB held by this process and its two workers after each epoch over all patches, when no batch is on its way."""
    data = S2DataModule(root, batch_size=16, num_workers=2, val_fraction=0.01)
    data.setup()
    loader, held = data.train_dataloader(), []
    for epoch in range(epochs):
        getattr(loader.sampler, "set_epoch")(epoch)  # noqa: B009 - DataLoader calls any sampler a plain one
        for batch in loader:
            data.transform(batch, epoch=epoch)
        del batch
        held.append(sum(resident(process) for process in family()))
    return held


def family() -> list[int]:
    """This process and those it started (Linux)."""
    found = [os.getpid()]
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(path.read_text().rsplit(")", 1)[1].split()[1]) == os.getpid():
                found.append(int(path.parent.name))
        except FileNotFoundError:  # it ended meanwhile
            continue
    return found


def resident(process: int) -> float:
    """MiB of a process that belong to it alone, or its share of what it shares (Linux)."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Read the options, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with images/*.tif (12 bands) and index.csv")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2, help="of the start")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        material = Material(options.root, Path(name))
        published = material.shards("published", material.published, published=True)
        ours = material.shards("ours", material.ours, published=False)
        size = {
            "file": np.mean([len(data) for data in material.published]),
            "ours": np.mean([*map(len, material.ours)]),
        }
        ways = {
            "(a) as the published system": the_published_way(material.files),
            "(a) not stacked into batches": the_published_way(material.files, stack=False),
            "(b) shards as published": our_way(published),
            "(c) our shards": our_way(ours),
            "(b) without augmentation": our_way(published, augment=False),
            "(c) without augmentation": our_way(ours, augment=False),
            "(c) three bands": our_way(ours, bands=("B04", "B03", "B02")),
        }
        times = compare(ways, options.repeats)
        first = times["(a) as the published system"]
        print(f"one core, one thread, {torch.__version__}; median of {options.repeats} repeats of {COUNTED} patches\n")
        print(f"{'':30}{'ms a patch':>12}{'patches/s':>12}{'times (a)':>11}{'kB a patch':>12}")
        for way, spent in times.items():
            kilobytes = size["ours" if way.startswith("(c)") else "file"] / 1000
            print(f"{way:30}{spent:>12.2f}{1000 / spent:>12.0f}{first / spent:>11.1f}{kilobytes:>12.0f}")
        pace = pace_of_a_worker(ours)
        print(f"\na worker process gives one of our patches every {pace:.2f} ms")
        ready, batch = measure_start(ours, Path(name), 64, options.workers)
        print(f"100 shards of 1,000: ready in {ready:.2f} s, first batch of 64 in {batch:.2f} s", end="")
        print(f" ({options.workers} workers)")
        held = memory_growth(material.shards("few", material.ours, published=False, count=200), options.epochs)
        print(f"\nMiB after epochs 2 to {options.epochs} of 200: {', '.join(f'{value:.0f}' for value in held[1:])}")
        if options.json:
            figures = {"milliseconds": times, "bytes": size, "worker": pace, "start": [ready, batch], "memory": held}
            options.json.write_text(json.dumps(figures, indent=1, default=float))


if __name__ == "__main__":
    main()
