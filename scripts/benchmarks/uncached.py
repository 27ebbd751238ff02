"""What a patch costs a training that sends it through its frozen backbone in every epoch, for `bench_training.py`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.bands import SENTINEL2, SENTINEL2_L2A
from satclip.vision import MocoBackbone

BATCH = 8
SIDE = 256  # pixels of a patch as it lies in the file


Raw = dict[str, Tensor]


def made_up(count: int) -> Iterator[Raw]:
    """Batches of random numbers as 12 bands of a file would be decoded."""
    generator = torch.Generator().manual_seed(0)
    for first in range(0, count, BATCH):
        size = (BATCH, len(SENTINEL2_L2A), SIDE, SIDE)
        pixels = torch.randint(0, 10_000, size, generator=generator, dtype=torch.int32).to(torch.uint16)
        rows = torch.arange(first, first + BATCH)
        yield {"image": pixels, "lonlat": torch.zeros(BATCH, 2, dtype=torch.float64), "id": rows}


def read(data: S2DataModule, count: int) -> Iterator[Raw]:
    """Batches of patches from their files, over and over."""
    data.setup()
    given = 0
    while given < count:
        for raw in data.train_dataloader():
            given += len(raw["id"])
            yield {name: value for name, value in raw.items() if isinstance(value, Tensor)}
            if given >= count:
                return


def milliseconds_a_patch(
    root: Path | None, device: torch.device, patches: int, wait: Callable[[], None]
) -> dict[str, float]:
    """Median milliseconds a patch over batches, by what is done: reading (of files in `root`), augmentation, forward.

    Without `root` the patches are random numbers and nothing is read. Read by this process: workers do that beside the
    training where there are processors to spare.
    """
    model = MocoBackbone("resnet18", "none", in_channels=len(SENTINEL2), embedding_dim=256)
    model.freeze()  # which random weights are never in a training; their forward pass takes the same time
    model.to(device)
    data = S2DataModule(
        root or Path(), bands=SENTINEL2, batch_size=BATCH, num_workers=0, split="all"
    )  # reads nothing yet
    seconds: dict[str, list[float]] = {"reading": [], "augmentation": [], "forward": []}
    source = read(data, patches + BATCH) if root else made_up(patches + BATCH)
    while True:
        clock = [time.perf_counter()]
        if (raw := next(source, None)) is None:
            break
        clock.append(time.perf_counter())
        raw = {name: value.to(device) for name, value in raw.items()}
        given = (raw["image"], raw["lonlat"], raw["id"])
        images, _ = data.augmentation.train(*given, seed=0, epoch=0, sizes=raw.get("size"))
        wait()
        clock.append(time.perf_counter())
        with torch.no_grad():
            model(images)
        wait()
        clock.append(time.perf_counter())
        for name, start, end in zip(seconds, clock, clock[1:], strict=False):
            seconds[name].append((end - start) / len(images))
    found = {name: 1e3 * median(values[1:]) for name, values in seconds.items()}  # the first batch warms up
    if root is None:
        del found["reading"]
    return found
