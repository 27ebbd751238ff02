"""Training on a GPU against the same on the CPU: epochs of Blue Marble, its batches, the steps of the benchmark."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import SoftClipLoss
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import TinyCNN

ON_GPU = {"cpu": "cpu", "cuda": "gpu"}  # Lightning's words
METRICS = ("train/loss", "val/loss", "val/image_to_location/top10")


def blue_marble(imagery: Path) -> BlueMarbleDataModule:
    return BlueMarbleDataModule(
        imagery, places=400, patch_size=20, kilometres_per_pixel=20.0, image_size=16, batch_size=64, val_fraction=0.2,
        jitter_degrees=0.005,
    )  # fmt: skip


def trained(imagery: Path, folder: Path, accelerator: str, precision: Any, epochs: int = 3) -> dict[str, float]:
    """The metrics of a short training."""
    torch.manual_seed(0)
    module = ContrastiveModule(
        LocationEncoder(SphericalHarmonics(10), partial(Siren, hidden_dim=64, first_omega=5.0), 32),
        TinyCNN(in_channels=3, embedding_dim=32, width=8),
        SoftClipLoss(chunk=32),
        partial(adamw, lr=3e-3, weight_decay=0.01),
    )
    trainer = L.Trainer(
        accelerator=accelerator, devices=1, precision=precision, max_epochs=epochs, default_root_dir=folder,
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        num_sanity_val_steps=0, log_every_n_steps=1, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(module, blue_marble(imagery))
    return {name: float(trainer.callback_metrics[name]) for name in METRICS}


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_blue_marble_gives_the_metrics_of_the_cpu_within_noise(
    imagery: Path, tmp_path: Path, device: torch.device, precision: str
) -> None:
    found = trained(imagery, tmp_path, ON_GPU[device.type], precision)
    expected = trained(imagery, tmp_path, "cpu", "32-true")
    for name in ("train/loss", "val/loss"):
        assert found[name] == pytest.approx(expected[name], rel=0.03)
    top10 = "val/image_to_location/top10"
    assert found[top10] == pytest.approx(expected[top10], abs=0.1)  # of 80 places


def test_batches_are_pinned_where_there_is_a_gpu_and_reach_it_whole(imagery: Path, device: torch.device) -> None:
    data = blue_marble(imagery)
    data.prepare_data()
    data.setup()
    raw = next(iter(data.train_dataloader()))
    assert raw["image"].is_pinned() == torch.cuda.is_available()
    expected = data.transform(raw, epoch=0)
    moved = {**raw, **{name: raw[name].to(device, non_blocking=True) for name in ("image", "lonlat", "id")}}
    found = data.transform(moved, epoch=0)
    for name in ("image", "lonlat", "id"):
        assert found[name].device.type == device.type
        torch.testing.assert_close(found[name].cpu(), expected[name], rtol=1e-5, atol=1e-6)


@pytest.fixture
def steps(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts of the benchmarks can be imported."""
    monkeypatch.syspath_prepend(project / "scripts" / "benchmarks")


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("loss", ["clip", "soft_clip"])
def test_the_step_on_stored_vectors_has_the_gradients_of_the_naive_step(device: torch.device, loss: str) -> None:
    import bench_training as bench
    from cached_step import LOSSES, CachedStep, Store, towers
    from naive_step import NaiveStep

    store, model = Store(600, 48, device), towers(20, 48, device, capacity=96, dim=64)
    naive = NaiveStep(model, bench.PLAIN[loss], None)
    ours = CachedStep(model, LOSSES[loss](), None)
    assert bench.difference(ours, naive, store.batch(1, 256)) < 1e-5
    before = model.logit_scale.item()
    ours.step(store.batch(2, 256))
    assert [*ours.parts(lambda: store.batch(3, 256))] == [
        "batch",
        "harmonics",
        "network",
        "loss",
        "network",
        "optimiser",
    ]
    assert model.logit_scale.item() != before
