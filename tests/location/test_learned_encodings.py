"""Encodings with weights: random Fourier features in bands, harmonics with damping."""

import copy
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from satclip.checkpoint import load_location_encoder
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Fourier, SphericalHarmonics
from satclip.location.networks import Linear, Siren
from satclip.sphere import uniform_on_sphere

PLACES = uniform_on_sphere(300, torch.Generator().manual_seed(0))
LEARNED = {
    "fourier": lambda: Fourier(3, 7, 0.5, 30.0, seed=1),
    "learned": lambda: SphericalHarmonics(6, damping="learned"),
    "fixed": lambda: SphericalHarmonics(6, damping="fixed", damping_exponent=1.5),
}


@pytest.fixture(params=LEARNED)
def encoding(request: pytest.FixtureRequest) -> nn.Module:
    """Each as it would be after some training."""
    made = LEARNED[request.param]()
    torch.manual_seed(2)
    for weight in made.parameters():
        weight.data.add_(0.3 * torch.randn_like(weight))
    return made


def test_fourier_features_are_sines_of_projections_of_the_unit_vector() -> None:
    encoding = Fourier(3, 7, 0.5, 30.0, seed=1)
    lon, lat = np.radians(PLACES.numpy()).T
    x = np.stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)), 1)
    columns = []
    for band, width in enumerate(np.exp(encoding.log_bandwidth.detach().double().numpy())):
        phase = width * x @ encoding.directions[band].double().numpy().T
        columns += [np.cos(phase), np.sin(phase)]
    np.testing.assert_allclose(encoding(PLACES).detach().numpy(), np.concatenate(columns, 1), atol=1e-12)
    np.testing.assert_allclose(encoding.log_bandwidth.exp().detach().numpy(), np.geomspace(0.5, 30, 3), rtol=1e-6)


def test_a_band_has_the_gaussian_kernel_of_its_width() -> None:
    encoding = Fourier(2, 40_000, 1.0, 4.0, seed=0)
    with torch.no_grad():
        features = encoding(PLACES[:20])
    lon, lat = torch.deg2rad(PLACES[:20]).unbind(-1)
    x = torch.stack((lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()), -1)
    for band, width in enumerate((1.0, 4.0)):
        part = features[:, band * 80_000 : (band + 1) * 80_000]
        wanted = torch.exp(-(width * torch.cdist(x, x)).square() / 2)
        torch.testing.assert_close(part @ part.T / 40_000, wanted, atol=0.03, rtol=0)


def test_directions_follow_from_their_seed_or_from_that_of_the_run_and_are_saved(tmp_path: Path) -> None:
    assert torch.equal(Fourier(seed=3).directions, Fourier(seed=3).directions)
    assert not torch.equal(Fourier(seed=3).directions, Fourier(seed=4).directions)
    torch.manual_seed(5)
    first = Fourier()
    torch.manual_seed(5)
    assert torch.equal(first.directions, Fourier().directions)
    assert not torch.equal(first.directions, Fourier().directions)
    encoder = LocationEncoder(first, Linear, 4).eval()
    encoder.save_pretrained(tmp_path)
    assert torch.equal(load_location_encoder(tmp_path)(PLACES), encoder(PLACES))


def test_a_seed_of_any_size_and_wide_bands_load_again(tmp_path: Path) -> None:
    encoder = LocationEncoder(Fourier(2, 3, 1.0, 20_000.0, seed=2**31), Linear, 4).eval()
    encoder.save_pretrained(tmp_path)
    assert load_location_encoder(tmp_path).config() == encoder.config()


def test_casting_leaves_directions_alone() -> None:
    encoding = Fourier(seed=0)
    exact = encoding.directions.clone()
    assert torch.equal(encoding.half().double().to(torch.bfloat16).directions, exact)
    assert torch.equal(copy.deepcopy(encoding).float().directions, exact)
    assert encoding.double().directions.dtype == torch.float32
    assert encoding.log_bandwidth.dtype == torch.float64
    assert encoding.to("meta").directions.is_meta


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.5])
def test_damping_divides_each_degree_by_its_power(exponent: float) -> None:
    bare = SphericalHarmonics(9)(PLACES).numpy()
    damped = SphericalHarmonics(9, damping="fixed", damping_exponent=exponent)(PLACES).numpy()
    degrees = np.concatenate([[degree] * (2 * degree + 1) for degree in range(9)])
    np.testing.assert_allclose(damped, bare * (1.0 + degrees) ** -exponent, atol=1e-14)


def test_learned_damping_starts_fixed_and_has_a_factor_for_each_degree() -> None:
    learned, fixed = SphericalHarmonics(5, damping="learned"), SphericalHarmonics(5, damping="fixed")
    torch.testing.assert_close(learned(PLACES).detach(), fixed(PLACES))
    learned.log_gain.data[3] = np.log(7.0)
    ratio = (learned(PLACES) / fixed(PLACES))[0].detach()
    torch.testing.assert_close(
        ratio, torch.tensor([1.0] * 9 + [7.0] * 7 + [1.0] * 9, dtype=torch.float64), rtol=1e-6, atol=0
    )
    assert [name for name, _ in learned.named_parameters()] == ["log_gain"]
    assert not list(fixed.parameters())


def test_a_description_says_nothing_of_damping_where_there_is_none() -> None:
    assert "damping" not in SphericalHarmonics(5).options()
    assert SphericalHarmonics(5, damping="fixed").options()["damping_exponent"] == 1.0


def test_the_harmonics_themselves_stay_exact_whatever_the_weights_are_cast_to() -> None:
    encoding = SphericalHarmonics(6, damping="learned")
    exact = encoding(PLACES).detach()
    assert torch.equal(encoding.half().float()(PLACES).detach(), exact)
    assert encoding.double().log_gain.dtype == torch.float64
    assert encoding.series.dtype == torch.float64


def test_a_place_at_a_pole_or_on_the_date_line_is_one_place(encoding: nn.Module) -> None:
    same = torch.tensor([[180.0, 5.0], [-180.0, 5.0], [0.0, 90.0], [77.0, 90.0]], dtype=torch.float64)
    found = encoding(same).detach()
    torch.testing.assert_close(found[::2], found[1::2], atol=1e-12, rtol=0)


def test_gradients_reach_places_and_weights(encoding: nn.Module) -> None:
    encoding = encoding.double()
    places = torch.tensor([[12.0, 34.0], [-180.0, 90.0], [0.0, -90.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encoding, places)
    for weight in encoding.parameters():
        (slope,) = torch.autograd.grad(encoding(PLACES).cos().sum(), weight)
        step = torch.zeros_like(slope).flatten()
        step[0] = 1e-6
        with torch.no_grad():
            weight.add_(step.view_as(weight))
            up = encoding(PLACES).cos().sum()
            weight.sub_(2 * step.view_as(weight))
            down = encoding(PLACES).cos().sum()
        assert slope.flatten()[0].item() == pytest.approx(float(up - down) / 2e-6, rel=1e-4)


def test_float32_features_are_the_float64_ones_rounded(encoding: nn.Module) -> None:
    torch.testing.assert_close(encoding(PLACES, torch.float32).double(), encoding(PLACES), atol=1e-6, rtol=1e-6)
    assert encoding(PLACES.float()).dtype == torch.float32
    assert encoding(PLACES.reshape(3, 100, 2)).shape == (3, 100, encoding.dim)
    assert encoding(PLACES[:0]).shape == (0, encoding.dim)


def test_options_build_the_same_encoding_again(encoding: nn.Module) -> None:
    again = type(encoding)(**json.loads(json.dumps(encoding.options())))
    again.load_state_dict(encoding.state_dict())
    assert torch.equal(again(PLACES), encoding(PLACES))


def test_an_encoder_learns_through_them(encoding: nn.Module) -> None:
    encoder = LocationEncoder(encoding, partial(Siren, hidden_dim=8), 4)
    encoder(PLACES).square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in encoder.parameters())


@pytest.mark.parametrize(
    ("build", "told"),
    [
        (lambda: Fourier(bands=0), "bands and frequencies must be at least 1"),
        (lambda: Fourier(min_bandwidth=0.0), "bandwidths must be positive and finite"),
        (lambda: SphericalHarmonics(4, damping="some"), "damping must be one of none, fixed, learned"),
        (lambda: SphericalHarmonics(4, damping="fixed", damping_exponent=float("inf")), "must be a finite number"),
    ],
)
def test_what_cannot_be_is_refused(build, told) -> None:
    with pytest.raises(ValueError, match=told):
        build()
