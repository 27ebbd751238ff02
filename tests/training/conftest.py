"""The small model of the tests, its batches, and trainers that leave nothing behind."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss
from satclip.sphere import uniform_on_sphere
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw, cosine
from satclip.vision import TinyCNN

MakeLoader = Callable[..., "DataLoader[dict[str, Tensor]]"]


@pytest.fixture
def small_module() -> Callable[[], ContrastiveModule]:
    """A small model; each call builds the same one."""

    def build() -> ContrastiveModule:
        torch.manual_seed(0)
        return ContrastiveModule(
            LocationEncoder(SphericalHarmonics(4), partial(Siren, hidden_dim=16), 8),
            TinyCNN(in_channels=2, embedding_dim=8, width=4),
            ClipLoss(),
            partial(adamw, lr=1e-2, weight_decay=0.01),
            partial(cosine, warmup=0.0),
        )

    return build


@pytest.fixture
def loader() -> MakeLoader:
    """Batches of noise as the data module hands them over, ids counted from 0."""

    def make(count: int = 2, size: int = 8) -> "DataLoader[dict[str, Tensor]]":
        generator = torch.Generator().manual_seed(1)
        batches = [
            {
                "image": torch.rand(size, 2, 16, 16, generator=generator),
                "lonlat": uniform_on_sphere(size, generator),
                "id": torch.arange(size) + number * size,
            }
            for number in range(count)
        ]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    return make


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., L.Trainer]:
    """Make a trainer on the CPU with these callbacks and nothing else."""

    def make(*callbacks: L.Callback, **options: object) -> L.Trainer:
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        settings = {"accelerator": "cpu", "default_root_dir": tmp_path, "log_every_n_steps": 1, **quiet, **options}
        if not any(isinstance(each, L.pytorch.callbacks.Checkpoint) for each in callbacks):
            settings["enable_checkpointing"] = False
        return L.Trainer(callbacks=list(callbacks), **settings)  # type: ignore[arg-type]

    return make
