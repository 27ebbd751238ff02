"""An interrupted training resumes with the batches that would have come, bit for bit."""

import os
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from satclip.data.batches.position import resumed
from satclip.data.datamodule import S2DataModule
from satclip.data.sources.shards import Shards

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
Seen = list[tuple[int, int, list[int], Tensor, Tensor]]
EPOCHS, BATCHES = 3, 5


class Stop(Exception):  # noqa: N818 - an interruption, not an error
    pass


class Recorder(L.LightningModule):
    """Learns a little, and writes down every batch that it is given."""

    def __init__(self, stop_after: int | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(48, 1)
        torch.nn.init.constant_(self.layer.weight, 0.01)
        torch.nn.init.constant_(self.layer.bias, 0.0)
        self.stop_after = stop_after
        self.seen: Seen = []
        self.validated: list[list[int]] = []

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.seen.append((self.current_epoch, batch_idx, batch["id"].tolist(), batch["image"], batch["lonlat"]))
        return (self.layer(batch["image"].flatten(1) / 50) - batch["lonlat"][:, :1].float() / 180).square().mean()

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.stop_after is not None and len(self.seen) > self.stop_after:
            raise Stop

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.layer(batch["image"].flatten(1)).mean())
        self.validated.append(batch["id"].tolist())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.1)


@pytest.fixture
def root(make_shards: Callable[..., Path]) -> Path:
    return make_shards((9, 11, 3, 17))


def data(root: Path, **options: Any) -> S2DataModule:
    names = ["a", "b", "c"]
    defaults = {"image_size": 4, "batch_size": 6, "num_workers": 0, "split": "random", "val_fraction": 0.2}
    return S2DataModule(root, bands=names, file_bands=names, scale=1.0, shuffle_window=2, **{**defaults, **options})


def run(
    root: Path, folder: Path, *, stop_after: int | None = None, ckpt: Path | None = None,
    keep: dict[str, Any] | None = None, trainer: dict[str, Any] | None = None, **options: Any,
) -> Recorder:  # fmt: skip
    keeper = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, **(keep or {"every_n_train_steps": 1}))
    settings = {"max_epochs": EPOCHS, **(trainer or {})}
    fitter = L.Trainer(
        **settings, accelerator="cpu", logger=False, callbacks=[keeper], enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, num_sanity_val_steps=0, default_root_dir=folder,
    )  # fmt: skip
    module = Recorder(stop_after)
    with suppress(Stop):
        fitter.fit(module, data(root, **options), ckpt_path=ckpt)
    return module


def same(a: Seen, b: Seen) -> bool:
    return len(a) == len(b) and all(
        x[:3] == y[:3] and torch.equal(x[3], y[3]) and torch.equal(x[4], y[4]) for x, y in zip(a, b, strict=True)
    )


@pytest.fixture
def whole(root: Path, tmp_path: Path) -> Recorder:
    return run(root, tmp_path / "whole")


def test_every_step_has_a_checkpoint_that_goes_on_exactly(root: Path, tmp_path: Path, whole: Recorder) -> None:
    assert [(epoch, batch) for epoch, batch, *_ in whole.seen] == [
        (e, b) for e in range(EPOCHS) for b in range(BATCHES)
    ]
    for done in range(1, EPOCHS * BATCHES):
        rest = run(root, tmp_path / f"rest{done}", ckpt=tmp_path / "whole" / f"step={done}.ckpt")
        assert same(rest.seen, whole.seen[done:]), f"after {done} batches"
        assert torch.equal(rest.layer.weight, whole.layer.weight)


@pytest.mark.parametrize(
    "keep",
    [
        {"every_n_epochs": 1, "save_on_train_epoch_end": True},
        {"every_n_epochs": 1, "save_on_train_epoch_end": False},  # at the end of validation, before the epoch's end
        {"every_n_epochs": 1, "monitor": "val/loss"},
    ],
    ids=["epoch end", "validation end", "monitored"],
)
@pytest.mark.parametrize("limit", [{}, {"max_steps": 14}], ids=["epochs", "steps"])
def test_a_checkpoint_of_an_epoch_goes_on_with_the_next(
    root: Path, tmp_path: Path, whole: Recorder, keep: dict[str, Any], limit: dict[str, Any]
) -> None:
    stopped = run(root, tmp_path / "a", stop_after=BATCHES + 2, keep=keep, trainer=limit)
    assert same(stopped.seen, whole.seen[: BATCHES + 3])
    rest = run(root, tmp_path / "b", ckpt=tmp_path / "a" / f"step={BATCHES}.ckpt", keep=keep, trainer=limit)
    assert same(rest.seen, whole.seen[BATCHES : limit.get("max_steps", 15)])


def test_a_restart_in_mid_epoch_with_other_workers_goes_on_exactly(root: Path, tmp_path: Path, whole: Recorder) -> None:
    for workers in (1, 2):
        stopped = run(root, tmp_path / f"a{workers}", stop_after=7, num_workers=workers)
        assert same(stopped.seen, whole.seen[:8])
        rest = run(
            root, tmp_path / f"b{workers}", ckpt=tmp_path / f"a{workers}" / "step=7.ckpt", num_workers=3 - workers
        )
        assert same(rest.seen, whole.seen[7:])
        assert torch.equal(rest.layer.weight, whole.layer.weight)


def test_limited_epochs_and_accumulated_batches_go_on_exactly_too(root: Path, tmp_path: Path) -> None:
    limits = {"limit_train_batches": 4, "accumulate_grad_batches": 2}
    once = run(root, tmp_path / "once", trainer=limits)
    assert len(once.seen) == 12
    for step in range(1, 6):
        rest = run(root, tmp_path / f"rest{step}", ckpt=tmp_path / "once" / f"step={step}.ckpt", trainer=limits)
        assert same(rest.seen, once.seen[2 * step :])
        assert torch.equal(rest.layer.weight, once.layer.weight)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_was_seen_is_not_read_again(
    root: Path, tmp_path: Path, whole: Recorder, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    read, notes = Shards.read, os.open(tmp_path / "reads", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def noted(shards: Shards, row: int) -> bytes:
        os.write(notes, f"{row}\n".encode())  # from whatever process
        return read(shards, row)

    monkeypatch.setattr(Shards, "read", noted)
    rest = run(root, tmp_path / "rest", ckpt=tmp_path / "whole" / "step=13.ckpt", num_workers=workers)
    os.close(notes)
    used = list(chain(*(ids for _, _, ids, *_ in rest.seen), *rest.validated))
    reads = [int(line) for line in (tmp_path / "reads").read_text().split()]
    probed = 8
    assert len(rest.seen) == 2
    assert sorted(reads[probed:]) == sorted(used)


def test_validation_sees_everything_in_every_epoch(whole: Recorder, root: Path) -> None:
    module = data(root)
    module.setup()
    held_out = module.collection.val_rows.tolist()
    assert list(chain(*whole.validated)) == held_out * EPOCHS


def test_going_on_in_mid_epoch_with_another_order_is_refused(root: Path, tmp_path: Path, whole: Recorder) -> None:
    with pytest.raises(ValueError, match=r"middle of epoch 1 of another order \(batch_size 6 then, 3 now\)"):
        run(root, tmp_path / "rest", ckpt=tmp_path / "whole" / "step=7.ckpt", batch_size=3)


def test_between_epochs_the_order_may_change() -> None:
    state = {"epoch": 4, "batch": 0, "order": {"batch_size": 6}}
    assert resumed(state, {"batch_size": 3}) == (4, 0)
