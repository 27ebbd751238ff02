"""A small model on disk, and the command run in this process."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from satclip.cli import main
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.sphere import uniform_on_sphere

pytest.importorskip("pyarrow", reason="the command needs `pip install 'satclip[cli]'`")

Degrees = NDArray[np.float64]


class Outcome(NamedTuple):
    """What a command left on the terminal."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture(scope="session")
def encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), embedding_dim=5).eval()


@pytest.fixture(scope="session")
def model(encoder: LocationEncoder, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of the small model, as `--model` takes it."""
    folder = tmp_path_factory.mktemp("model")
    encoder.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def expected(encoder: LocationEncoder) -> Callable[[Degrees], NDArray[np.float32]]:
    """What the model says of places, asked directly."""

    def ask(lonlat: Degrees) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(encoder(torch.tensor(lonlat)).numpy())

    return ask


@pytest.fixture(scope="session")
def lonlat() -> Degrees:
    return np.asarray(uniform_on_sphere(200, torch.Generator().manual_seed(1)).numpy())


@pytest.fixture
def satclip(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command: `satclip("embed", path, "-o", target)`."""

    def run(*arguments: str | Path | float) -> Outcome:
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run
