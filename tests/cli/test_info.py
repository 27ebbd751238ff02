"""`satclip info` tells what a model is, to people and to programs."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren


def test_info_tells_encoding_network_and_size(satclip: Any, model: str) -> None:
    outcome = satclip("info", model)
    assert outcome.code == 0
    lines = dict(line.split("  ", 1) for line in outcome.out.splitlines())
    assert lines["encoding"].strip() == "sphericalharmonics (legendre_polys=6, harmonics_calculation=orthonormal)"
    assert lines["network"].strip().startswith("siren (hidden_dim=16")
    assert lines["parameters"].strip() == f"{36 * 16 + 16 + 16 * 16 + 16 + 16 * 5 + 5:,}"
    assert lines["dtype"].strip() == "float32"


def test_info_as_json_is_read_back(satclip: Any, model: str) -> None:
    facts = json.loads(satclip("info", model, "--json").out)
    assert facts["embedding_dim"] == 5
    assert facts["encoding"]["legendre_polys"] == 6


def test_info_of_a_published_checkpoint(reference: Path, satclip: Any) -> None:
    outcome = satclip("info", reference / "official_format_l40.ckpt")
    assert outcome.code == 0
    assert "legendre_polys=40, harmonics_calculation=analytic" in outcome.out


def test_epochs_are_counted_from_one_as_in_the_report(satclip: Any, tmp_path: Path) -> None:
    encoder = LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), 8)
    state = {f"model.location_encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    content = {"state_dict": state, "satclip": {"location_encoder": encoder.config()}, "epoch": 34, "global_step": 525}
    torch.save(content, tmp_path / "a.ckpt")
    told = satclip("info", tmp_path / "a.ckpt").out
    assert "35 (in the file 34, counted from 0)" in next(line for line in told.splitlines() if line.startswith("epoch"))
    assert json.loads(satclip("info", tmp_path / "a.ckpt", "--json").out)["epoch"] == 34


def test_what_is_no_model_is_told_in_a_line(satclip: Any, tmp_path: Path) -> None:
    (tmp_path / "a.ckpt").write_text("not a checkpoint")
    outcome = satclip("info", tmp_path / "a.ckpt")
    assert outcome.code == 1
    assert outcome.err.startswith("Error: ")
    assert "Traceback" not in outcome.err


def test_info_tells_the_distance_at_which_similarity_halves(satclip: Any, model: str) -> None:
    """The small model has six degrees: what it resolves lies between a wave of the highest and the whole Earth."""
    told = satclip("info", model, "--json")
    found = json.loads(told.out)["resolves"]
    assert found["finest_wave_km"] == pytest.approx(2 * 20015 / 5, rel=1e-3)
    assert 300 < found["similarity_halves_at_km"] < 5000
    assert f"similarity halves at {found['similarity_halves_at_km']:,.0f} km" in satclip("info", model).out
    alps = json.loads(satclip("info", model, "--json", "--bounds", 5, 43, 16, 49).out)["resolves"]
    assert alps["similarity_halves_at_km"] != found["similarity_halves_at_km"]
    assert satclip("info", model, "--bounds", 5, 43, 5, 49).code == 2
