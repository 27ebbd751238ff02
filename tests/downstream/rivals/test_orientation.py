"""Longitude first, in every encoder: what is near a place in its vectors is near it on the Earth."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from satclip.downstream.contract import Places
from satclip.downstream.rivals import Frozen, source
from satclip.downstream.rivals.geoclip import GeoCLIP, geoclip, wheel_weights
from satclip.downstream.rivals.mind import MIND, mind
from satclip.downstream.rivals.sinr import SINR, sinr
from satclip.downstream.rivals.tte import tte
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Voronoi
from satclip.location.networks import FCNet
from satclip.location.tte import _theirs
from satclip.sphere import great_circle_km, uniform_on_sphere

Array = NDArray[np.float64]
PERU = np.array([[-76.0, -9.0]])
NEAREST, FAR_KM = 3, 2000.0


def around_the_globe(*, mirrored: bool) -> Array:
    """Places everywhere, one every two degrees in South America, and `mirrored` images of Peru.

    Read as (latitude, longitude), -76 degrees and -104 degrees have one sine, so places 28 degrees to the west of Peru
    would be its neighbours where the two are exchanged.
    """
    globe = np.asarray(uniform_on_sphere(4000, torch.Generator().manual_seed(0)).numpy())
    continent = np.stack(np.meshgrid(np.arange(-78.0, -45, 2), np.arange(-30.0, 5, 2)), -1).reshape(-1, 2)
    images = np.stack([np.linspace(-104.4, -103.6, 9), np.full(9, -9.0)], 1)
    return np.concatenate([globe, continent, *([images] if mirrored else [])])


def assert_neighbours_of_peru_lie_in_south_america(encoder: Places, *, mirrored: bool = True) -> None:
    """The nearest by cosine, as embeddings are compared."""
    pool = around_the_globe(mirrored=mirrored)
    vectors, peru = encoder(pool).astype(np.float64), encoder(PERU).astype(np.float64)[0]
    nearest = np.argsort(-(vectors @ peru) / np.linalg.norm(vectors, axis=1))[:NEAREST]
    distance = great_circle_km(torch.from_numpy(PERU), torch.from_numpy(pool[nearest]))
    assert float(distance.max()) < FAR_KM, f"{encoder.name}: {pool[nearest].round(1).tolist()}"


def test_geoclip() -> None:
    try:
        wheel_weights()
    except ModuleNotFoundError as error:
        pytest.skip(f"NEEDS {error}")
    assert_neighbours_of_peru_lie_in_south_america(geoclip())


def test_the_encoders_of_torchspatial(real_data: Path) -> None:
    files = sorted((real_data / "torchspatial_encoders").glob("*.pt"))
    assert len(files) == 4
    for file in files:
        encoder = source(str(file))
        assert isinstance(encoder, Frozen)
        assert encoder(PERU).shape == (1, 256)
        # Without the images: to the one trained on photographs the empty Pacific, 28 degrees west, looks alike.
        assert_neighbours_of_peru_lie_in_south_america(encoder, mirrored=False)


def constructed(kind: str, folder: Path) -> Frozen:
    """An encoder of another author's layout with fresh weights."""
    torch.manual_seed(0)
    path = folder / "w.safetensors"
    if kind == "taxabind":
        save_file(GeoCLIP().state_dict(), path)
        return geoclip(path, name=kind)
    if kind == "mind":
        network = MIND(64, 2, 64)
        network.first.linear.weight.data.mul_(0.05)  # smooth
        save_file(network.state_dict(), path)
        return mind(path)
    if kind == "sinr":
        torch.save({"state_dict": SINR(32, 2).state_dict()}, path.with_suffix(".pt"))
        return sinr(path.with_suffix(".pt"))
    network = LocationEncoder(Voronoi(200, 16, 12, 4, published=True), partial(FCNet, residual_blocks=1), 12)
    network.encoding.directions.data.normal_()
    network.encoding.log_sharpness.data.fill_(3.0)
    for weight in (network.encoding.sites, network.encoding.semantics.tokens):
        weight.data.normal_()
    save_file({f"location.{_theirs(name, 1)}": weight for name, weight in network.state_dict().items()}, path)
    return tte(path)


@pytest.mark.parametrize("kind", ["taxabind", "mind", "sinr", "tte"])
def test_constructed_encoders(kind: str, tmp_path: Path) -> None:
    assert_neighbours_of_peru_lie_in_south_america(constructed(kind, tmp_path))


@pytest.mark.parametrize("kind", ["sinr", "tte"])
def test_those_on_circles_and_spheres_have_no_seam_at_the_date_line(kind: str, tmp_path: Path) -> None:
    encoder = constructed(kind, tmp_path)
    east, west = encoder(np.array([[180.0, 20.0]])), encoder(np.array([[-180.0, 20.0]]))
    np.testing.assert_allclose(east, west, atol=1e-5)


def test_latitude_first_networks_are_given_latitude_first() -> None:
    asked: list[Tensor] = []

    class Recorder(torch.nn.Module):
        def forward(self, places: Tensor) -> Tensor:
            asked.append(places)
            return places

    for first in (True, False):
        Frozen("recorder", "nothing", Recorder(), latitude_first=first)(PERU)
    assert [each.tolist() for each in asked] == [[[-9.0, -76.0]], [[-76.0, -9.0]]]
