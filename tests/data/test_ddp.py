"""Two real processes train together on what one process trains on alone."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.bands import SENTINEL2_L2A
from satclip.data.prepare.rewrite_shards import Rewriting, rewrite
from satclip.data.sources.locate import DataLocation, Streamed
from satclip.data.sources.places import place_patches
from satclip.data.sources.shards import Shards, write_shard

PROGRAM = """
import json, sys, warnings
from pathlib import Path
import lightning as L
import torch
from satclip.data.datamodule import S2DataModule

warnings.simplefilter("ignore")
settings = json.loads(sys.argv[1])

class Recorder(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer, self.train_seen, self.val_seen = torch.nn.Linear(1, 1), [], []

    def training_step(self, batch, batch_idx):
        moved = batch["lonlat"].sum(1).tolist()
        self.train_seen.append([batch["id"].tolist(), batch["image"].double().sum((1, 2, 3)).tolist(), moved])
        return self.layer(batch["image"].mean((1, 2, 3), keepdim=False)[:, None]).mean()

    def on_train_batch_end(self, *_):
        if self.trainer.global_step == settings["save_at"]:
            self.trainer.save_checkpoint(Path(settings["out"], "middle.ckpt"))

    def validation_step(self, batch, batch_idx):
        self.val_seen.append(batch["id"].tolist())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)

data = S2DataModule(**settings["data"])
module = Recorder()
trainer = L.Trainer(
    accelerator="cpu", devices=settings["devices"], strategy="ddp" if settings["devices"] > 1 else "auto",
    max_epochs=3, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    use_distributed_sampler=False, num_sanity_val_steps=0,
)
trainer.fit(module, data, ckpt_path=settings["ckpt"])
seen = {"train": module.train_seen, "validation": module.val_seen, "epochs": trainer.current_epoch}
seen["bad"] = [data.bad[training].counts() for training in (True, False)]
Path(settings["out"], f"{settings['devices']}-{trainer.global_rank}.json").write_text(json.dumps(seen))
"""


def start(
    folder: Path, devices: int, workers: int, *, save_at: int = -1, ckpt: str | None = None, **data: Any
) -> subprocess.CompletedProcess[str]:
    """A training of three epochs, or the rest of one."""
    settings = {"data": {**data, "num_workers": workers}, "devices": devices, "out": str(folder)}
    settings |= {"save_at": save_at, "ckpt": ckpt}
    program = folder / "program.py"
    program.write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, str(program), json.dumps(settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


def train(folder: Path, devices: int, workers: int, **data: Any) -> list[dict[str, Any]]:
    """What each rank saw."""
    done = start(folder, devices, workers, **data)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{devices}-{rank}.json").read_text()) for rank in range(devices)]


def compare(folder: Path, validation: set[int], **data: Any) -> None:
    """Two ranks with two workers each against one process with none."""
    (alone,) = train(folder, 1, 0, **data)
    ranks = train(folder, 2, 2, **data)
    assert all(len(rank["train"]) == len(alone["train"]) for rank in ranks)
    for whole, *parts in zip(alone["train"], *(rank["train"] for rank in ranks), strict=True):
        for column in range(3):  # which samples, their pixels after augmentation, their places after jitter
            assert list(chain(*(part[column] for part in parts))) == whole[column]
    for rank in ranks:
        assert len(rank["validation"]) == len(ranks[0]["validation"])
    seen = [row for rank in ranks for batch in rank["validation"] for row in batch]
    assert sorted(seen) == sorted(list(validation) * 3)


@pytest.mark.slow
def test_two_ranks_see_together_what_one_process_sees(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    root = make_shards((9, 11, 3, 17))
    names = ["a", "b", "c"]
    settings = {"bands": names, "file_bands": names, "image_size": 4, "batch_size": 6, "split": "random"}
    module = S2DataModule(root, **settings)
    module.setup()
    compare(tmp_path, set(module.collection.val_rows.tolist()), root=str(root), **settings)


@pytest.mark.slow
def test_two_ranks_go_on_in_mid_epoch_as_one_process_does(make_shards: Callable[..., Path], tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    settings = {"bands": names, "file_bands": names, "image_size": 4, "batch_size": 6, "split": "random"}
    settings |= {"root": str(make_shards((9, 11, 3, 17)))}
    ranks = train(tmp_path, 2, 1, save_at=8, **settings)
    assert len(ranks[0]["train"]) > 8
    ckpt = str(tmp_path / "middle.ckpt")
    for whole, rest in zip(ranks, train(tmp_path, 2, 2, ckpt=ckpt, **settings), strict=True):
        assert rest["train"] == whole["train"][8:]
    (alone,) = train(tmp_path, 1, 0, ckpt=ckpt, **settings)
    batches = zip(*(rank["train"][8:] for rank in ranks), strict=True)
    assert [rows for rows, _, _ in alone["train"]] == [[*one[0], *other[0]] for one, other in batches]


@pytest.mark.slow
def test_two_ranks_train_three_epochs_on_shards_of_the_real_patches(s2_patches: Path, tmp_path: Path) -> None:
    source = DataLocation(s2_patches).find()
    assert not isinstance(source, Streamed)
    table = place_patches(source, s2_patches, 0.0)
    held_out = torch.arange(20) % 5 == 0
    how = Rewriting({"kind": "every fifth"}, SENTINEL2_L2A, per_shard=7, level=1)
    rewrite(source, table.lonlat, table.rows, held_out, tmp_path / "shards", how)
    settings = {"split": "stored", "batch_size": 4, "image_size": 128}
    written = DataLocation(tmp_path / "shards").find()
    assert not isinstance(written, Streamed)
    rows = set(written.held_out.nonzero().flatten().tolist())
    assert len(rows) == 4
    compare(tmp_path, rows, root=str(tmp_path / "shards"), **settings)


@pytest.mark.slow
def test_two_ranks_count_bad_patches_as_one_does_and_stop_together(
    make_shards: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_shards((9, 11, 3, 17))
    names = ["a", "b", "c"]
    settings = {"bands": names, "file_bands": names, "image_size": 4, "batch_size": 4, "split": "random"}
    settings |= {"root": str(root), "val_fraction": 0.3}
    module = S2DataModule(**settings)
    module.setup()
    held = module.collection
    bad = {*held.train_rows[::9].tolist(), *held.val_rows[1:2].tolist()}
    assert isinstance(held.source, Shards)
    row = 0
    for path, size in zip(held.source.paths, held.source.shard_sizes, strict=True):
        rows = range(row, row + size)
        data = [b"" if n in bad else held.source.read(n) for n in rows]
        places = [held.lonlat[n].tolist() for n in rows]
        write_shard(path, [(held.source.names[n], d, *place) for n, d, place in zip(rows, data, places, strict=True)])
        row += size
    # Borne over three epochs, in which each rank meets nearly all of the bad patches.
    borne = (len(bad) - 1) / len(held.train_rows)
    for rank in train(tmp_path, 2, 1, **settings, max_bad_fraction=borne):
        assert rank["bad"] == [{"missing": len(bad) - 1}, {"missing": 1}]
    stopped = start(tmp_path, 2, 0, **settings, max_bad_fraction=borne - 0.01)
    assert stopped.returncode != 0
    for row in bad & set(held.train_rows.tolist()):
        assert f"  {held.source.names[row]} (missing): " in stopped.stderr
