"""The encoder that the package carries: there at once, computed in float32, and what its card says."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from satclip import load_location_encoder
from satclip.checkpoint import describe
from satclip.checkpoint.sources import PACKAGED
from satclip.downstream.rivals.parse import source
from satclip.location.encoder import LocationEncoder

SAHARA, ARABIA, AMAZON, CONGO = (15.0, 23.0), (47.0, 21.0), (-62.0, -5.0), (22.0, -1.0)
FOLDER = PACKAGED["blue-marble"]


def test_it_is_there_offline_in_any_folder_and_computes_in_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    encoder = load_location_encoder("blue-marble")
    assert (encoder.embedding_dim, encoder.dtype) == (512, torch.float32)
    assert str(encoder.source) == str(FOLDER)
    assert encoder.embed((2.35, 48.86)).shape == (512,)
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 1_500_000
    assert describe("blue-marble")["parameters"] == 599_809
    assert load_location_encoder("untrained:blue-marble").embedding_dim == 512


def test_deserts_are_like_deserts_and_forests_like_forests() -> None:
    encoder = load_location_encoder("blue-marble")
    learned = torch.from_numpy(encoder.embed([SAHARA, ARABIA, AMAZON, CONGO])[:, : encoder.learned_dim])
    alike = torch.corrcoef(learned)
    assert alike[0, 1] > max(alike[0, 2], alike[0, 3])
    assert alike[2, 3] > max(alike[0, 2], alike[1, 2])


def test_half_the_bytes_do_not_cost_the_digits_of_the_harmonics(tmp_path: Path) -> None:
    """Built in float16, the numbers that pass by the network would be off by a thousandth."""
    encoder = load_location_encoder("blue-marble")
    exact = LocationEncoder.from_config(encoder.config()).double()
    place = torch.tensor([[13.4, 52.5], [-179.9, -33.0]], dtype=torch.float64)
    with torch.no_grad():
        harmonics = exact(place)[:, exact.learned_dim :]
        mine = encoder(place)[:, encoder.learned_dim :].double()
    assert (mine - harmonics).abs().max() < 1e-5
    shutil.copytree(FOLDER, tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | {"computes_in": "int8"}))
    with pytest.raises(ValueError, match="computes_in can only be float32"):
        load_location_encoder(tmp_path / "copy")


def test_what_lies_in_the_folder_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    LocationEncoder.from_config({**load_location_encoder("blue-marble").config()}).save_pretrained("blue-marble")
    assert str(load_location_encoder("blue-marble").source) == "blue-marble"


def test_the_benchmark_knows_it_and_what_it_has_seen() -> None:
    row = source("blue-marble")
    assert getattr(row, "seen", None) == "whole globe"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("blue_marble", "blue-marble"),
        ("satclip-vit16-l40", "microsoft/SatCLIP-ViT16-L40"),
        ("microsoft/satclip-resnet18-l10", "microsoft/SatCLIP-ResNet18-L10"),
    ],
)
def test_a_name_that_is_nearly_one_is_told_which(name: str, meant: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"did you mean {meant}"):
        load_location_encoder(name)


def test_the_card_says_what_it_was_trained_on_and_what_it_is_not_for() -> None:
    text = (FOLDER / "README.md").read_text()
    for word in ("free of copyright", "Blue Marble", "| elevation, R2 | cells 10 | 100 |", "Not for", "MIT licence"):
        assert word in text
    assert "{" not in text.replace("{dim}", "")
