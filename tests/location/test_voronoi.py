"""TTE's encoder: its size, its formula in numpy, its four weak points and what mends them."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from satclip.checkpoint import load_location_encoder
from satclip.geography.countries import land
from satclip.geography.lattice import fibonacci, land_lattice
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Voronoi
from satclip.location.networks import FCNet
from satclip.location.tte import _theirs, tte_encoder
from satclip.sphere import great_circle_km, uniform_on_sphere

Array = NDArray[np.float64]
PLACES = torch.cat(
    (
        uniform_on_sphere(200, torch.Generator().manual_seed(0)),
        torch.tensor([[0.0, 90.0], [50.0, 90.0], [180.0, 12.0], [-180.0, 12.0], [77.0, -90.0]], dtype=torch.float64),
    )
)


def build(*, published: bool = False, **options: Any) -> LocationEncoder:
    """A small one whose sites differ in everything that can learn."""
    torch.manual_seed(0)
    encoding = Voronoi(60, 5, 8, 4, published=published, **options)
    encoder = LocationEncoder(encoding, partial(FCNet, hidden_dim=6, residual_blocks=2), 8).eval()
    with torch.no_grad():
        encoding.directions.normal_()
        encoding.log_sharpness.add_(torch.randn(60))
        encoding.sites.normal_()
        if encoding.size is not None:
            encoding.size.normal_()
    return encoder


def written(encoder: LocationEncoder, folder: Path) -> Path:
    """Its weights in the layout that TTE is published in."""
    state = {f"location.{_theirs(name, 2)}": each.clone() for name, each in encoder.state_dict().items()}
    state |= {"location.semantic_registers._img_temperature": torch.tensor(0.05), "logit_scale": torch.tensor(2.6)}
    save_file(state, folder / "tte.safetensors")
    return folder / "tte.safetensors"


def plain(state: dict[str, Tensor], lonlat: Tensor, temperature: float | None = None) -> Array:
    """The published formula, float64, from the names of the published file."""
    w = {name.removeprefix("location."): each.double().numpy() for name, each in state.items()}
    lon, lat = np.radians(lonlat.numpy()).T
    x = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    s = w["_directions"] / np.linalg.norm(w["_directions"], axis=1, keepdims=True)

    def softmax(values: Array) -> Array:
        powers = np.exp(values - values.max(1, keepdims=True))
        return np.asarray(powers / powers.sum(1, keepdims=True))

    def affine(values: Array, name: str) -> Array:
        return np.asarray(values @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0))

    e = softmax(x @ s.T * np.exp(w["_log_tau"])) @ w["_embeddings"]
    t = temperature or float(np.clip(np.exp(w["semantic_registers.log_temperature"]), 0.01, 10))
    a = softmax(affine(e, "semantic_registers.loc_to_logits") / t)
    h = 0.5 * affine(e, "semantic_registers.site_to_out") + 0.5 * a @ w["semantic_registers.registers"]
    h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-5)
    h = h * w["semantic_registers.norm.weight"] + w["semantic_registers.norm.bias"]
    z = np.maximum(affine(h, "mlp.0"), 0)
    for block in (2, 3):
        z = z + np.maximum(affine(np.maximum(affine(z, f"mlp.{block}.w1"), 0), f"mlp.{block}.w2"), 0)
    return affine(z, "mlp.4")


def state_of(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return {name: each for name, each in load_file(path).items() if name.startswith("location.")}


def test_as_published_it_has_the_published_number_of_weights_and_repaired_a_size_for_each_site() -> None:
    def count(*, published: bool) -> int:
        network = partial(FCNet, residual_blocks=2)
        encoder = LocationEncoder(Voronoi(published=published), network, 512)
        return sum(weight.numel() for weight in encoder.parameters())

    assert count(published=True) == 3_453_057
    assert count(published=False) == 3_453_057 + 4096


@pytest.mark.parametrize("published", [True, False])
def test_a_file_of_the_published_layout_gives_the_published_formula_s_numbers(published: bool, tmp_path: Path) -> None:
    path = written(build(published=True), tmp_path)
    encoder = tte_encoder(state_of(path), source="file", published=published).double()
    with torch.no_grad():
        found = encoder(PLACES).numpy()
    rounding = 1e-7 if published else 1e-5  # of b = tau, some hundreds, in float32
    np.testing.assert_allclose(found, plain(state_of(path), PLACES), atol=rounding)


def test_such_a_file_is_a_model_like_any_other(tmp_path: Path) -> None:
    encoder = load_location_encoder(written(build(published=True), tmp_path))
    assert encoder.config()["encoding"]["name"] == "voronoi"
    encoder.save_pretrained(tmp_path / "again")
    assert torch.equal(load_location_encoder(tmp_path / "again")(PLACES), encoder(PLACES))
    save_file({"weights": torch.zeros(3)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match="bare weights, and not those of TTE; give the folder"):
        load_location_encoder(tmp_path / "bare.safetensors")


def test_a_file_with_a_tensor_missing_or_too_many_is_refused_by_its_own_names(tmp_path: Path) -> None:
    state = state_of(written(build(published=True), tmp_path))
    del state["location._log_tau"]
    with pytest.raises(ValueError, match=r"location\._log_tau is missing\. Give a file as it was published"):
        tte_encoder(state, source="file")
    with pytest.raises(ValueError, match=r"location\.more is not part of the model"):
        tte_encoder(state_of(tmp_path / "tte.safetensors") | {"location.more": torch.zeros(1)}, source="file")


def test_the_annealed_temperature_is_saved_with_the_model_and_forgotten_in_the_published_one(tmp_path: Path) -> None:
    for published in (False, True):
        encoder = build(published=published)
        encoder.encoding.anneal(1.0)
        assert encoder.encoding.semantics.temperature().item() == pytest.approx(0.2)
        encoder.save_pretrained(tmp_path / str(published))
        again = load_location_encoder(tmp_path / str(published))
        kept = again.encoding.semantics.temperature().item()
        assert kept == pytest.approx(0.5 if published else 0.2)
        assert torch.equal(again(PLACES), encoder(PLACES)) != published


def test_a_sharper_site_wins_far_away_only_in_the_published_model() -> None:
    """A sharp site beside the place, 60 degrees away, and a soft one where the place lies, of equal size."""
    shares = {}
    for published in (False, True):
        encoding = Voronoi(2, 3, 4, 2, published=published)
        encoding.directions.data = torch.tensor([[0.5, 3**0.5 / 2, 0.0], [1.0, 0.0, 0.0]])
        encoding.log_sharpness.data = torch.tensor([100.0, 10.0]).log()
        shares[published] = encoding.cells(torch.zeros(1, 2, dtype=torch.float64))[0, 0].item()
    assert shares[True] == pytest.approx(1 / (1 + np.exp(10 - 50)))  # 100 cos 60 against 10: all of it
    assert shares[False] == pytest.approx(1 / (1 + np.exp(50)), rel=1e-3)  # 100 (cos 60 - 1) against 0: nothing


@pytest.mark.parametrize("published", [True, False])
def test_equal_sharpness_is_the_published_formula_until_it_has_learned(published: bool) -> None:
    torch.manual_seed(3)
    encoding = Voronoi(50, 3, 4, 2, published=published)
    x = torch.nn.functional.normalize(encoding.directions.double(), dim=-1)
    lon, lat = torch.deg2rad(PLACES).unbind(-1)
    at = torch.stack((lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()), -1)
    wanted = torch.softmax(45 * at @ x.T, -1)
    torch.testing.assert_close(encoding.cells(PLACES).double(), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("published", "sharpest"), [(True, 6.2), (False, 9.2)])
def test_sites_settle_on_the_sphere_and_within_their_bounds(published: bool, sharpest: float) -> None:
    encoding = build(published=published).encoding
    encoding.log_sharpness.data[:2] = torch.tensor([-5.0, 50.0])
    encoding.settle()
    torch.testing.assert_close(torch.linalg.vector_norm(encoding.directions, dim=-1), torch.ones(60))
    assert encoding.log_sharpness.min().item() == pytest.approx(-0.7)
    assert encoding.log_sharpness.max().item() == pytest.approx(sharpest)


def test_the_repaired_bound_tells_neighbouring_sites_apart_and_the_published_one_does_not() -> None:
    """Two sites 168 km apart, a place at one of them: the kernel of log tau = 6.2 is wider than that."""
    shares = []
    for sharpest in (6.2, 9.2):
        encoding = Voronoi(2, 3, 4, 2)
        lonlat = torch.tensor([[0.0, 0.0], [168 / 111.195, 0.0]], dtype=torch.float64)
        lon, lat = torch.deg2rad(lonlat).unbind(-1)
        encoding.directions.data = torch.stack((lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()), -1).float()
        encoding.log_sharpness.data.fill_(sharpest)
        shares.append(encoding.cells(lonlat[:1])[0, 0].item())
    assert shares[0] == pytest.approx(0.54, abs=0.01)
    assert shares[1] > 0.96


def test_the_date_line_and_the_poles_are_places_like_any_other() -> None:
    with torch.no_grad():
        found = build().double()(PLACES[-5:])
    torch.testing.assert_close(found[0], found[1], atol=1e-12, rtol=0)
    torch.testing.assert_close(found[2], found[3], atol=1e-12, rtol=0)


def test_the_sharpest_cells_are_alike_in_float32_and_float64() -> None:
    encoder = build()
    encoder.encoding.log_sharpness.data.fill_(9.2)
    with torch.no_grad():
        single, double = encoder(PLACES), encoder.double()(PLACES)
    torch.testing.assert_close(single.double(), double, atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_weight_and_the_places() -> None:
    encoder = build().double()
    places = PLACES[[0, 1, 200]].clone().requires_grad_()
    assert torch.autograd.gradcheck(encoder, places, atol=1e-4)
    encoder(places).square().sum().backward()
    without = {name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()}
    assert without == {f"encoding.{name}" for name in Voronoi.auxiliary_weights}


def test_one_token_at_least_is_left_and_the_same_are_dropped_for_the_whole_batch() -> None:
    semantics = build(token_dropout=0.97).encoding.semantics.train()
    for seed in range(40):
        torch.manual_seed(seed)
        attention = semantics.attention(torch.randn(30, 5))
        assert (attention.sum(-1) - 1).abs().max() < 1e-5
        assert len({tuple(row) for row in (attention == 0).tolist()}) == 1


def test_weights_start_as_published() -> None:
    torch.manual_seed(1)
    encoding = Voronoi()
    assert encoding.log_sharpness.unique().item() == pytest.approx(3.8067, abs=1e-4)
    assert encoding.sites.std().item() == pytest.approx(0.02, rel=0.01)
    tokens = encoding.semantics.tokens
    torch.testing.assert_close(tokens @ tokens.T, torch.eye(64), atol=1e-5, rtol=0)
    for layer in (encoding.semantics.of_places, encoding.semantics.of_pictures):
        assert layer.weight.std().item() == pytest.approx(0.1, rel=0.05)
        assert not layer.bias.any()
    assert encoding.semantics.log_temperature.exp().item() == pytest.approx(0.5)


def test_sites_start_evenly_over_the_land_without_antarctica() -> None:
    places = land_lattice(4096)
    assert len({tuple(place) for place in places}) == 4096
    assert shapely.contains_xy(land(), *places.T).all()
    assert places[:, 1].min() > -60
    lonlat = torch.from_numpy(places.copy())
    nearest = torch.stack(
        [great_circle_km(place[None], lonlat).topk(2, largest=False).values[1] for place in lonlat[:400]]
    )
    assert 150 < nearest.median().item() < 190  # 168.5 in the published file


def test_without_land_they_are_the_fibonacci_lattice_s() -> None:
    golden, count = (1 + 5**0.5) / 2, 50
    z = 1 - (2 * np.arange(count) + 1) / count
    theta, ring = 2 * np.pi * np.arange(count) / golden, np.sqrt(1 - z**2)
    wanted = np.stack((ring * np.cos(theta), ring * np.sin(theta), z), 1)
    np.testing.assert_allclose(Voronoi(count, start="sphere").directions.detach().numpy(), wanted, atol=1e-6)
    assert fibonacci(count).shape == (50, 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sites": 0}, "must be at least 1, got 0, 384"),
        ({"start": "sea"}, "start must be one of land, sphere, got 'sea'"),
        ({"token_dropout": 1.0}, "token_dropout must be from 0 to below 1"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Voronoi(**options)


def test_its_description_builds_it_again() -> None:
    encoder = build()
    again = LocationEncoder.from_config(json.loads(json.dumps(encoder.config()))).eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(PLACES), encoder(PLACES))


def test_an_exported_one_gives_its_own_numbers_elsewhere() -> None:
    encoder, sizes = build(), {"lonlat": {0: torch.export.Dim("places")}}
    with torch.no_grad():
        seen = torch.export.export(encoder, (PLACES[:5],), dynamic_shapes=sizes).module()
        torch.testing.assert_close(seen(PLACES), encoder(PLACES), atol=1e-5, rtol=0)
