"""A small run on Blue Marble, and a small store."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from satclip.data.blue_marble_datamodule import BlueMarbleDataModule
from satclip.index.store import Store, fingerprint, open_store
from satclip.index.writing import StoreWriter
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss
from satclip.sphere import uniform_on_sphere
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import TinyCNN

OPTIONS = {
    "places": 400,
    "patch_size": 16,
    "kilometres_per_pixel": 12.0,
    "image_size": 16,
    "keep_in_memory": True,
    "split": "block",
    "split_degrees": 10.0,
    "val_fraction": 0.2,
    "bands": ["R", "G", "B"],
}
VISION = {"_target_": "satclip.vision.TinyCNN", "in_channels": 3, "width": 4, "embedding_dim": 8}


@pytest.fixture(scope="session")
def options() -> dict[str, Any]:
    """Of the run's data."""
    return dict(OPTIONS)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with checkpoints/best.ckpt and the patches that it was trained on."""
    folder = tmp_path_factory.mktemp("run")
    dataset = {"_target_": "satclip.data.blue_marble_datamodule.BlueMarbleDataModule", **OPTIONS}
    dataset["root"] = str(folder / "patches")
    BlueMarbleDataModule(folder / "patches", **OPTIONS).prepare_data()
    torch.manual_seed(3)
    encoder = LocationEncoder(SphericalHarmonics(5), partial(Siren, hidden_dim=16), 8)
    vision = TinyCNN(in_channels=3, width=4, embedding_dim=8)
    module = ContrastiveModule(encoder, vision, ClipLoss(), partial(adamw, lr=1e-3, weight_decay=0.0))
    module.recipe = {"config": {"dataset": dataset}, "vision": VISION}
    checkpoint: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    (folder / "checkpoints").mkdir()
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.fixture
def encoder() -> LocationEncoder:
    torch.manual_seed(1)
    return LocationEncoder(SphericalHarmonics(5), partial(Siren, hidden_dim=16), 8).eval()


@pytest.fixture
def make_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Writes a store of random patches for an encoder."""

    def make(encoder: LocationEncoder, count: int = 500, name: str = "store", **facts: Any) -> Store:
        generator = torch.Generator().manual_seed(2)
        keys = torch.nn.functional.normalize(torch.randn(count, encoder.embedding_dim, generator=generator), dim=-1)
        identity = {"encoder": fingerprint(encoder), "source": "best.ckpt", "seen": "whole globe"}
        writer = StoreWriter(tmp_path / name, identity, {"keys": encoder.embedding_dim, "values": 6})
        writer.append(
            count,
            lonlat=uniform_on_sphere(count, generator).numpy(),
            keys=keys.numpy(),
            values=torch.randn(count, 6, generator=generator).numpy(),
        )
        sharpness = {"alone": 15.0, "beside": 12.0, "geographic": 40.0}
        writer.finish(sharpness=sharpness, explained={}, chosen_by=0, left_out={}, **facts)
        return open_store(tmp_path / name)

    yield make
    assert not np.any([path.name.endswith(".partial") for path in tmp_path.iterdir()])
