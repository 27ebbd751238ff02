"""At whatever moment a run stops, it resumes to the same weights, optimiser state and logged lines, bit for bit."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from satclip.data.batches.streamed import collect_stream
from satclip.data.datamodule import S2DataModule
from satclip.data.sources.index_csv import read_index, write_index
from satclip.data.sources.shards import write_shard
from satclip.data.split.rule import Split
from satclip.sphere import uniform_on_sphere

PLACE = Affine(10, 0, 500_000, 0, -10, 5_000_000)
HARNESS = Path(__file__).with_name("moments.py")
SPEC = importlib.util.spec_from_file_location("moments", HARNESS)
assert SPEC is not None
assert SPEC.loader is not None
moments = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(moments)
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*recommended to use"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety patches of noise."""
    root = tmp_path_factory.mktemp("shards")
    generator, lonlat = np.random.default_rng(0), uniform_on_sphere(90, torch.Generator().manual_seed(1))
    names = [f"patch_{number}.tif" for number in range(90)]
    patches = []
    for _ in names:
        with MemoryFile() as file:
            with file.open(driver="GTiff", count=3, height=16, width=16, dtype="uint16", transform=PLACE) as target:
                target.write(generator.integers(1, 200, (3, 16, 16)).astype(np.uint16))
            patches.append(bytes(file.read()))
    write_shard(root / "shard-000.tar", list(zip(names, patches, *lonlat.T.tolist(), strict=True)))
    write_index(root / "index.csv", names, lonlat)
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> Iterator[S2DataModule]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield moments.shards(root)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def whole(data: S2DataModule, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, float], Path]:
    """The run of these options that nothing befell, made once."""
    folder = tmp_path_factory.mktemp("whole")

    def run(accumulate: int, interval: float) -> Path:
        here = folder / f"{accumulate}-{interval}"
        if not here.exists():
            moments.fit(data, here, accumulate_grad_batches=accumulate, val_check_interval=interval)
        return here

    return run


@pytest.mark.parametrize(("fault", "accumulate", "interval"), moments.PRODUCT)
def test_a_run_that_is_stopped_again_and_again_is_the_run_that_was_not(
    fault: str, accumulate: int, interval: float, data: S2DataModule, whole: Callable[..., Path], tmp_path: Path
) -> None:
    options = {"accumulate_grad_batches": accumulate, "val_check_interval": interval}
    moments.hurt_and_resume(data, tmp_path, fault, moments.moments(fault, interval), **options)
    assert moments.differences(tmp_path, whole(accumulate, interval)) == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["signal", "kill"])
@pytest.mark.parametrize(
    ("options", "at"),
    [
        ({"check_val_every_n_epoch": 2}, [("train", 0, 13), ("train", 1, 2), ("validation", 1, 14)]),
        ({"check_val_every_n_epoch": None, "val_check_interval": 9}, [("validation", 0, 9), ("validation", 1, 4)]),
        ({"max_steps": 6, "accumulate_grad_batches": 4, "max_epochs": -1}, [("train", 0, 9), ("train", 1, 5)]),
        ({"max_steps": 12, "val_check_interval": 4}, [("validation", 0, 4), ("validation", 0, 12)]),
        ({"max_steps": 14, "max_epochs": 3}, [("train", 0, 13), ("validation", 0, 14)]),
    ],
    ids=["every second epoch", "across epochs", "steps alone", "last step in mid-epoch", "last step of an epoch"],
)
def test_so_is_one_of_other_lengths_and_intervals(
    options: dict[str, Any], at: list[Any], fault: str, data: S2DataModule, tmp_path: Path
) -> None:
    moments.fit(data, tmp_path / "whole", **options)
    moments.hurt_and_resume(data, tmp_path / "cut", fault, at, **options)
    assert moments.differences(tmp_path / "cut", tmp_path / "whole") == []


@pytest.mark.filterwarnings("ignore:Your `IterableDataset` has `__len__` defined")
def test_a_nan_on_a_stream_is_traced_to_its_samples(root: Path, data: S2DataModule, tmp_path: Path) -> None:
    from injections import NanAt

    stream = copy(data)
    index = read_index(root / "index.csv")
    stream._collection = collect_stream(
        [f"file:{root}/shard-000.tar"], index, bands=data.bands, split=Split("random", 0.2, 5.0)
    )
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step 3 .* its 4 samples are listed in"):
        moments.fit(stream, tmp_path, NanAt(3))
    found = json.loads((tmp_path / "nan_batch.json").read_text())["samples"]
    assert [sample["name"] for sample in found] == [index.names[sample["id"]] for sample in found]
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()


@pytest.mark.slow
def test_two_ranks_that_are_stopped_again_and_again_are_two_that_were_not(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    surroundings = {
        **os.environ, "RANKS": "2", "WORLD_SIZE": "2", "NODE_RANK": "0", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip
    command = [sys.executable, str(HARNESS), str(root), str(tmp_path)]
    pair = []
    for rank in ("0", "1"):
        with (tmp_path / f"said-{rank}.txt").open("wb") as file:
            surroundings["LOCAL_RANK"] = rank
            pair.append(subprocess.Popen(command, env=surroundings, stdout=file, stderr=subprocess.STDOUT))
    try:
        codes = [process.wait(timeout=400) for process in pair]
    finally:
        for process in pair:
            process.kill()
    text = "".join((tmp_path / f"said-{rank}.txt").read_text() for rank in range(2))
    assert codes == [0, 0], text
    assert text.count("is the same") == len(moments.PRODUCT)
