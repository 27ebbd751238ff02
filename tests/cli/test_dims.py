"""`--dims`: the first numbers of an embedding, from a file of a nested training and from one that was not."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from satclip.cli.app import app
from satclip.downstream.evaluate.penalties import BLOCK_BETAS, penalties_of
from satclip.downstream.rivals.trained import trained
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss, CombinedLoss, NestedLoss
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import TinyCNN


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    """A saved encoder that a nested loss has trained, for no step."""
    torch.manual_seed(0)
    encoder = LocationEncoder(SphericalHarmonics(5), partial(Siren, hidden_dim=16), 12)
    loss = CombinedLoss({"contrastive": NestedLoss(ClipLoss(), embedding_dim=12, dims=[3, 6])})
    vision = TinyCNN(in_channels=2, embedding_dim=12, width=2)
    ContrastiveModule(encoder, vision, loss, partial(adamw, lr=1e-3, weight_decay=0.0))
    encoder.save_pretrained(tmp_path / "nested")
    return tmp_path / "nested"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_few_numbers_are_written_with_length_one(nested: Path, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("lon,lat\n2.35,48.9\n-76,-9\n")
    whole, short, grid = (tmp_path / name for name in ("whole.npy", "short.npy", "grid.npy"))
    assert run("embed", tmp_path / "places.csv", "--model", nested, "-o", whole).exit_code == 0
    result = run("embed", tmp_path / "places.csv", "--model", nested, "--dims", 6, "-o", short)
    assert "2 places, 6 numbers each" in result.output
    assert "note" not in result.output
    expected = np.load(whole)[:, :6]
    np.testing.assert_allclose(np.load(short), expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)
    assert run("grid", "--model", nested, "--dims", 3, "--resolution", 30, "-o", grid).exit_code == 0
    assert np.load(grid).shape == (6, 12, 3)
    np.testing.assert_allclose(np.linalg.norm(np.load(grid), axis=-1), 1, rtol=1e-5)


def test_too_many_are_refused_and_untrained_prefixes_are_noted(nested: Path, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("lon,lat\n2.35,48.9\n-76,-9\n")
    given = ("embed", tmp_path / "places.csv", "--model", nested, "-o", tmp_path / "out.npy", "--dims")
    result = run(*given, 13)
    assert result.exit_code == 2
    assert "has 12 numbers: give 12 at most" in result.output
    assert "was trained for its first 3, 6, 12; its first 5 alone may say little" in run(*given, 5).output
    plain = LocationEncoder(SphericalHarmonics(3), partial(Siren, hidden_dim=4), 8)
    plain.save_pretrained(tmp_path / "plain")
    result = run("embed", tmp_path / "places.csv", "--model", tmp_path / "plain", "-o", tmp_path / "x.npy", "--dims", 4)
    assert "was trained for all of its numbers together; its first 4 alone may say little" in result.output


def test_the_ridge_probe_is_offered_the_penalty_by_block(nested: Path) -> None:
    row = trained(nested)
    assert set(penalties_of(row, 12)) == set(BLOCK_BETAS)
    tenfold = penalties_of(row, 12)[10.0]
    assert tenfold is not None
    assert tenfold.tolist() == [1.0] * 3 + [10.0] * 3 + [100.0] * 6
    short = row.first(6)
    assert short.blocks == (3, 6)
    places = np.array([[2.35, 48.9], [-76.0, -9.0]])
    vectors = row(places)[:, :6]
    np.testing.assert_allclose(short(places), vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rtol=1e-5)
    assert short.fingerprint != row.fingerprint
    assert short.fresh is not None
    assert short.fresh(0)(torch.from_numpy(places)).shape == (2, 6)


@pytest.mark.filterwarnings("ignore")
def test_a_probe_of_few_numbers_says_so_of_both_rows(nested: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    lonlat = np.stack((generator.uniform(-180, 180, 120), generator.uniform(-60, 70, 120)), 1)
    lines = [f"{lon},{lat},{np.cos(np.radians(lat))}" for lon, lat in lonlat]
    (tmp_path / "labels.csv").write_text("\n".join(["lon,lat,warm", *lines]) + "\n")
    given = ("probe", nested, tmp_path / "labels.csv", "--target", "warm", "--draws", 1, "--map", tmp_path / "map.png")
    result = run(*given, "--dims", 6, "--save", tmp_path / "probe.npz")
    assert result.exit_code == 0, result.output
    result = run(*given, "--dims", 40)
    assert result.exit_code == 2
    assert "has 12 numbers" in result.output


def test_a_prefix_and_a_store_do_not_go_together(nested: Path, tmp_path: Path) -> None:
    (tmp_path / "places.csv").write_text("lon,lat\n2.35,48.9\n")
    given = ("--model", nested, "--dims", 6, "--index", tmp_path, "-o", tmp_path / "out.npy")
    for command in (("embed", tmp_path / "places.csv"), ("grid", "--resolution", 30)):
        result = run(*command, *given)
        assert result.exit_code == 2
        assert "leave one of --dims and --index" in result.output
    assert not (tmp_path / "out.npy").exists()
