"""Places, random weights of published layouts, and a small checkpoint of ours."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren

Array = NDArray[np.float64]
Draw = Callable[..., Tensor]
BLOCK = {"_target_": "satclip.data.datamodule.BlueMarbleDataModule", "split": "block"}


@pytest.fixture
def places() -> Array:
    """Some of every kind: by a pole, by the date line, south and north."""
    return np.array([[-76.0, -9.0], [13.4, 52.5], [179.9, -16.5], [0.0, 89.9], [-122.4, 37.8], [100.0, -60.0]])


@pytest.fixture
def draw() -> Draw:
    """Random weights, small enough that no layer saturates."""
    generator = torch.Generator().manual_seed(5)
    return lambda *shape: torch.randn(*shape, generator=generator) / max(shape[-1], 1) ** 0.5


@pytest.fixture
def real_data() -> Path:
    """The folder of real data that SATCLIP_DATA names."""
    folder = os.environ.get("SATCLIP_DATA")
    if not folder:
        pytest.skip("NEEDS the environment variable SATCLIP_DATA: a folder with torchspatial_encoders")
    return Path(folder)


@pytest.fixture
def encoder() -> LocationEncoder:
    torch.manual_seed(123)
    return LocationEncoder(
        SphericalHarmonics(6), partial(Siren, hidden_dim=16, first_omega=5.0), embedding_dim=8
    ).eval()


@pytest.fixture
def checkpoint(encoder: LocationEncoder, tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint of ours whose recipe has this `dataset`."""

    def write(dataset: Mapping[str, Any] | None = BLOCK, name: str = "best.ckpt") -> Path:
        weights = {f"model.location_encoder.{key}": value for key, value in encoder.state_dict().items()}
        recipe = {
            "location_encoder": encoder.config(),
            "config": {"dataset": None if dataset is None else dict(dataset)},
        }
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save({"state_dict": weights, "satclip": recipe}, path)
        return path

    return write
