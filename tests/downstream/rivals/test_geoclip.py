"""GeoCLIP against its formulas in numpy, and its place in the contract."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from satclip.downstream.rivals.geoclip import GeoCLIP, geoclip, taxabind, wheel_weights
from satclip.weights import read_torch_file

Array = NDArray[np.float64]
PLACES = np.array([[-76.0, -9.0], [13.4, 52.5], [179.9, -16.5], [0.0, 89.9], [-122.4, 37.8]])


def installed() -> Path:
    try:
        return wheel_weights()
    except ModuleNotFoundError as error:
        pytest.skip(f"NEEDS {error}")


def by_hand(weights: dict[str, torch.Tensor], lonlat: Array) -> Array:
    """GeoCLIP in numpy: Equal Earth, three capsules of Fourier features and ReLU layers, summed."""
    a1, a2, a3, a4 = 1.340264, -0.081106, 0.000893, 0.003796
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in weights.items()}
    lon, lat = np.radians(lonlat).T
    t = np.arcsin(np.sqrt(3) / 2 * np.sin(lat))
    x = 2 * np.sqrt(3) * lon * np.cos(t) / (3 * (9 * a4 * t**8 + 7 * a3 * t**6 + 3 * a2 * t**2 + a1))
    y = a4 * t**9 + a3 * t**7 + a2 * t**3 + a1 * t
    v = np.stack([x, y], 1) * 66.50336 / 180
    total = np.zeros((len(lonlat), 512))
    for k in range(3):
        p = 2 * np.pi * v @ w[f"LocEnc{k}.capsule.0.b"].T
        h = np.concatenate([np.cos(p), np.sin(p)], 1)
        for layer in (1, 3, 5):
            h = np.maximum(h @ w[f"LocEnc{k}.capsule.{layer}.weight"].T + w[f"LocEnc{k}.capsule.{layer}.bias"], 0)
        total += h @ w[f"LocEnc{k}.head.0.weight"].T + w[f"LocEnc{k}.head.0.bias"]
    return total


def test_geoclip_from_its_wheel_gives_what_its_formulas_give() -> None:
    path = installed()
    embedded = geoclip()(PLACES)
    expected = by_hand(read_torch_file(path), PLACES)
    assert embedded.shape == (5, 512)
    assert "geoclip" not in sys.modules
    assert np.abs(embedded - expected).max() < 1e-5 * np.abs(expected).max()


def test_geoclip_has_seen_the_whole_globe_and_its_weights_name_it() -> None:
    installed()
    encoder = geoclip()
    assert (encoder.name, encoder.seen) == ("geoclip", "whole globe")
    assert len(encoder.fingerprint) == 64


def test_taxabind_has_the_shape_of_geoclip(tmp_path: Path) -> None:
    torch.manual_seed(3)
    state = GeoCLIP().state_dict()
    torch.save(state, tmp_path / "location_encoder_weights.pth")
    embedded = taxabind(tmp_path / "location_encoder_weights.pth")(PLACES)
    np.testing.assert_allclose(embedded, by_hand(state, PLACES), atol=1e-5)


def test_a_file_of_another_shape_is_refused_by_the_names_of_its_tensors(tmp_path: Path) -> None:
    state = GeoCLIP().state_dict()
    del state["LocEnc2.head.0.bias"]
    state["LocEnc0.capsule.0.b"] = torch.zeros(128, 2)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"LocEnc2\.head\.0\.bias is missing.*\[128, 2\], not \[256, 2\].*published"):
        taxabind(tmp_path / "w.pth")
