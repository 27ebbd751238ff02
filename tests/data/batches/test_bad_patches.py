"""A broken patch is counted and named, and too many of them end the run."""

import csv
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger

from satclip.data.batches.bad_patches import BadPatches
from satclip.data.datamodule import S2DataModule
from satclip.data.sources.index_csv import write_index
from satclip.data.sources.shards import write_shard

Encode = Callable[..., bytes]
BROKEN = {5: "unreadable", 6: "empty", 20: "bands", 21: "size", 33: "dtype", 40: "missing"}


@pytest.fixture
def root(tmp_path: Path, encode: Encode) -> Path:
    """60 patches in two shards, six of them broken, each in its own way."""
    good = [np.full((3, 8, 8), n + 1, np.uint16) for n in range(60)]
    data = [encode(pixels) for pixels in good]
    data[5] = data[5][:300]
    data[6] = encode(0 * good[6])
    data[20] = encode(good[20][:2])
    data[21] = encode(good[21][:, :3])  # too small for a crop of 4
    data[33] = encode(good[33].astype(np.uint8))
    data[40] = b""
    for shard in range(2):
        rows = range(30 * shard, 30 * shard + 30)
        write_shard(tmp_path / f"{shard}.tar", [(f"patch_{n}.tif", data[n], n * 2.0, n * 1.0) for n in rows])
    return tmp_path


def module(root: Path, **options: Any) -> S2DataModule:
    defaults = {"image_size": 4, "batch_size": 4, "num_workers": 0, "split": "random", "max_bad_fraction": 0.2}
    names = ["a", "b", "c"]
    data = S2DataModule(root, bands=names, file_bands=names, **{**defaults, **options})
    data.setup()
    return data


@pytest.mark.parametrize("workers", [0, 2])
def test_in_training_the_next_patch_stands_in_and_the_batch_keeps_its_size(root: Path, workers: int) -> None:
    data = module(root, num_workers=workers)
    train = data.collection.train_rows.tolist()
    order = iter(data.train_dataloader().sampler)
    complaints = []
    for batch, asked in zip(data.train_dataloader(), order, strict=True):
        assert len(batch["id"]) == 4
        assert batch["image"][:, 0, 0, 0].tolist() == [row + 1 for row in batch["id"].tolist()]
        for row, used in zip(asked, batch["id"].tolist(), strict=True):
            stand_in = train.index(row)
            while train[stand_in % len(train)] in BROKEN:
                stand_in += 1
            assert used == train[stand_in % len(train)]
        complaints += batch["bad"]
    asked_all = {row for batch in data.train_dataloader().sampler for row in batch}
    for row in asked_all & BROKEN.keys():
        assert (f"patch_{row}.tif", BROKEN[row]) in {(name, cause) for name, cause, _ in complaints}


def test_in_validation_a_bad_patch_is_left_out_and_told(root: Path) -> None:
    data = module(root, val_fraction=0.7)
    held_out = set(data.collection.val_rows.tolist())
    assert held_out & BROKEN.keys()
    batches = list(data.val_dataloader())
    assert sorted(row for batch in batches for row in batch["id"].tolist()) == sorted(held_out - BROKEN.keys())
    named = {name for batch in batches for name, _, _ in batch["bad"]}
    assert named == {f"patch_{row}.tif" for row in held_out & BROKEN.keys()}


def test_in_memory_bad_patches_are_left_out_before_the_order_is_made(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = module(root, keep_in_memory=True)
    rows = {*data.collection.train_rows.tolist(), *data.collection.val_rows.tolist()}
    assert rows == set(range(60)) - BROKEN.keys()
    for row, cause in BROKEN.items():
        assert f"patch_{row}.tif ({cause}" in caplog.text
    for batch in data.train_dataloader():
        assert batch["image"][:, 0, 0, 0].tolist() == [row + 1 for row in batch["id"].tolist()]
    with pytest.raises(
        ValueError, match=r"6 of 60 patches in .* that cannot be used \(1 .*\): .*max_bad_fraction=0.05"
    ):
        module(root, keep_in_memory=True, max_bad_fraction=0.05)


def test_bad_patches_are_counted_by_cause_and_the_first_ten_named(caplog: pytest.LogCaptureFixture) -> None:
    bad = BadPatches(limit=0.5, total=100)
    with caplog.at_level(logging.WARNING):
        for number in range(14):
            bad.add([(f"patch_{number}.tif", "empty" if number % 2 else "bands", "detail")])
        bad.add([("patch_3.tif", "empty", "detail")])
    assert bad.counts() == {"bands": 7, "empty": 7}
    named = [f"patch_{n}.tif" for n in range(14) if f"patch_{n}.tif (" in caplog.text]
    assert named == [f"patch_{n}.tif" for n in range(10)]
    assert caplog.text.count("only counted") == 1


def test_bad_patches_are_summed_up_by_cause_once_an_epoch(caplog: pytest.LogCaptureFixture) -> None:
    bad = BadPatches(limit=0.5, total=100)
    bad.add([(f"patch_{n}.tif", "empty" if n % 3 else "bands", "") for n in range(14)])
    for _ in range(3):
        bad.share(torch.device("cpu"))
    assert caplog.text.count("14 of 100 patches are bad: 5 bands, 9 empty") == 1


def test_too_many_bad_patches_end_the_run_with_the_list() -> None:
    bad = BadPatches(limit=0.01, total=250)
    bad.add([("a.tif", "empty", "zero"), ("b.tif", "empty", "zero")])
    with pytest.raises(
        ValueError,
        match=r"3 bad patches of 250, more than .*=0.01:\n  a.tif \(empty\): zero\n[\s\S]*c.tif \(bands\): 11",
    ):
        bad.add([("c.tif", "bands", "11 bands")])


def test_a_batch_of_nothing_but_bad_patches_is_an_error(tmp_path: Path, encode: Encode, root: Path) -> None:
    data = module(root)
    with pytest.raises(ValueError, match=r"every patch of a batch is bad: patch_5.tif \(unreadable\)"):
        data.collection.dataset(training=False)[[5, 6]]


class Learner(L.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(48, 1)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        assert batch.keys() == {"image", "lonlat", "id"}
        return self.layer(batch["image"].flatten(1)).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


QUIET = (
    "ignore:.*does not have many workers",
    "ignore:The number of training batches",
    "ignore:You passed in a `val_dataloader`",
)


def fit(root: Path, folder: Path, **options: Any) -> None:
    settings = {"image_size": 4, "batch_size": 4, "num_workers": 0, "split": "random", "max_bad_fraction": 0.2}
    names = ["a", "b", "c"]
    data = S2DataModule(root, bands=names, file_bands=names, scale=1.0, **{**settings, **options})
    L.Trainer(
        max_epochs=1, accelerator="cpu", logger=CSVLogger(folder), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False, limit_val_batches=0,
    ).fit(Learner(), data)  # fmt: skip


def logged(folder: Path, kind: str) -> dict[str, float]:
    """The last count of each cause."""
    with next(folder.rglob("metrics.csv")).open() as file:
        rows = list(csv.DictReader(file))
    found = {name: [row[name] for row in rows if row[name]] for name in rows[0] if name.startswith(f"data/{kind}/")}
    return {name.rsplit("/", 1)[1]: float(values[-1]) for name, values in found.items()}


@pytest.mark.filterwarnings(*QUIET)
def test_counts_reach_the_loggers_and_too_many_bad_patches_stop_a_training(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(root, tmp_path / "log")
    assert {"empty", "unreadable"} <= logged(tmp_path / "log", "bad").keys()
    assert "patches are bad: " in caplog.text
    with pytest.raises(ValueError, match=r"bad patches of \d+, more than dataset.max_bad_fraction=0.01"):
        fit(root, tmp_path / "stopped", max_bad_fraction=0.01)


@pytest.mark.filterwarnings(*QUIET)
def test_what_is_left_out_at_the_start_reaches_the_loggers_too(root: Path, tmp_path: Path) -> None:
    fit(root, tmp_path / "one", keep_in_memory=True)
    assert logged(tmp_path / "one", "left_out") == dict.fromkeys(BROKEN.values(), 1)
    assert not logged(tmp_path / "one", "bad")
    places = torch.stack((torch.arange(60) * 2.0, torch.arange(60) * 1.0), 1).double()
    names = [f"patch_{n}.tif" for n in range(60)]
    write_index(root / "index.csv", [*names[:57], "elsewhere.tif"], places[:58])
    fit(root, tmp_path / "two")
    assert logged(tmp_path / "two", "left_out") == {"not_in_index": 3, "not_in_data": 1}
