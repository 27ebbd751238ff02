"""A small benchmark: one encoder that knows the answer, and its rivals, on places that are made up."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from satclip.downstream.benchmark.choose import Chosen
from satclip.downstream.benchmark.rows import Rows
from satclip.downstream.benchmark.run import Benchmark, benchmark
from satclip.downstream.benchmark.settings import Settings
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.interpolation import InverseDistance
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.sphere import uniform_on_sphere

Array = NDArray[np.float64]


@dataclass
class Told:
    """An encoder that gives the target itself, or noise."""

    name: str
    seen: str
    knows: bool

    def __call__(self, lonlat: Array) -> Array:
        noise = np.random.default_rng(int(self.name.rpartition(" ")[2]) if self.name[-1].isdigit() else 9)
        return hills(lonlat)[:, None] if self.knows else noise.normal(size=(len(lonlat), 3))


def hills(lonlat: Array) -> Array:
    east, north = np.deg2rad(lonlat).T
    height: Array = np.sin(7 * east) * np.cos(5 * north) + np.sin(3 * north)
    return height


def places(count: int) -> Array:
    return np.asarray(uniform_on_sphere(count, torch.Generator().manual_seed(3)).numpy())


@pytest.fixture(scope="session")
def labels() -> tuple[Labels, Labels]:
    lonlat = places(200)
    height = hills(lonlat)
    sides = (height > 0).astype(np.int64)
    return Labels("hills", lonlat, height, unit="m"), Labels("sides", lonlat, sides, ("low", "high"))


@pytest.fixture(scope="session")
def found(labels: tuple[Labels, Labels]) -> Benchmark:
    fresh = [Told(f"untrained oracle, seed {seed}", "nothing", knows=False) for seed in (0, 1)]
    rows = Rows(
        (Told("oracle", "whole globe", knows=True), *fresh, InverseDistance()),
        ("oracle",),
        {"oracle": "untrained oracle"},
    )
    settings = Settings(("random", "cells:20", "cells:40"), (40, 100), draws=2, workers=1)
    return benchmark(rows, Chosen(labels, ("species: no labels here; put <them> there",)), settings)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small model of ours."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("small") / "model"
    LocationEncoder(SphericalHarmonics(4), partial(Siren, hidden_dim=8), embedding_dim=4).save_pretrained(folder)
    return folder
