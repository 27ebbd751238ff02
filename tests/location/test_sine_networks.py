"""Sine networks that tell fine from coarse: a w0 for each band of degrees, and residual blocks."""

import json

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Grid, SphericalHarmonics
from satclip.location.networks import BandedSiren, ResidualSiren
from satclip.sphere import uniform_on_sphere

PLACES = uniform_on_sphere(50, torch.Generator().manual_seed(0))
FEATURES = torch.randn(20, 36, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def banded() -> BandedSiren:
    torch.manual_seed(0)
    return BandedSiren(36, 5, degrees=(2, 4), factors=(4.0, 1.4, 0.6), first_omega=5.0, hidden_dim=9).double()


def test_each_third_of_the_units_has_its_band_of_degrees_and_its_w0() -> None:
    network = banded()
    weight, bias = network.first.weight, network.first.bias
    bands = [(0, 3, 0, 4, 20.0), (3, 6, 4, 16, 7.0), (6, 9, 16, 36, 3.0)]  # units, features (degree squared), w0
    first = [
        torch.sin(omega * (FEATURES[:, low:high] @ weight[a:b, low:high].T + bias[a:b]))
        for a, b, low, high, omega in bands
    ]
    second = torch.sin(torch.cat(first, 1) @ network.hidden[0].weight.T + network.hidden[0].bias)
    torch.testing.assert_close(network(FEATURES), second @ network.last.weight.T + network.last.bias)
    for a, b, low, high, _ in bands:
        assert weight[a:b, low:high].abs().max() <= 1 / (high - low)
        assert weight[a:b, low:high].abs().max() > 0.8 / (high - low)


def test_training_never_lets_a_unit_see_another_band() -> None:
    network = banded()
    outside = network.first.mask == 0
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        network(FEATURES).square().sum().backward()
        optimizer.step()
    assert outside.sum() == 9 * 36 - 3 * 36
    assert not network.first.weight[outside].any()


def test_bands_beyond_the_degrees_are_left_out_so_that_l_may_be_varied() -> None:
    network = BandedSiren(9, 2, degrees=(2, 4), factors=(20.0, 7.0, 3.0), hidden_dim=8)
    assert network.factor.tolist() == [20.0] * 4 + [7.0] * 4
    assert BandedSiren(1, 2, hidden_dim=8).factor.tolist() == [6.0] * 8
    assert network.options()["factors"] == [20.0, 7.0, 3.0]


def test_bands_of_degrees_need_harmonics() -> None:
    with pytest.raises(ValueError, match="pe_type=banded_siren needs le_type=sphericalharmonics, got grid"):
        LocationEncoder(Grid(), BandedSiren, 4)
    with pytest.raises(ValueError, match=r"needs the L \* L features of le_type=sphericalharmonics, got 10"):
        BandedSiren(10, 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"degrees": (4, 2)}, "degrees must rise from above 0"),
        ({"degrees": (0,), "factors": (1.0, 2.0)}, "degrees must rise from above 0"),
        ({"factors": (1.0, 2.0)}, "factors must be one for each of the 3 bands"),
        ({"factors": (1.0, 2.0, float("nan"))}, "factors must be finite"),
        ({"hidden_dim": 2}, "leaves a band without a unit"),
    ],
)
def test_bands_that_cannot_be_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BandedSiren(36, 2, **options)


def test_a_residual_siren_adds_sines_to_sines() -> None:
    torch.manual_seed(1)
    network = ResidualSiren(36, 5, hidden_dim=8, hidden_layers=3, first_omega=11.0, hidden_omega=2.0).double()
    h = torch.sin(11 * (FEATURES @ network.first.weight.T + network.first.bias))
    for layer in network.hidden:
        h = h + torch.sin(2 * (h @ layer.weight.T + layer.bias))
    torch.testing.assert_close(network(FEATURES), h @ network.last.weight.T + network.last.bias)
    assert len(network.hidden) == 3


def test_without_its_last_layer_it_is_minds_trunk() -> None:
    from satclip.downstream.rivals.equal_earth import equal_earth
    from satclip.downstream.rivals.mind import MIND

    theirs = MIND(16, 3, 16)
    ours = ResidualSiren(2, 16, hidden_dim=16, hidden_layers=3)
    state = {"first": theirs.first, **{f"hidden.{i}": block for i, block in enumerate(theirs.blocks)}}
    for name, layer in state.items():
        ours.get_submodule(name).load_state_dict(layer.linear.state_dict())
    ours.last.weight.data, ours.last.bias.data = torch.eye(16), torch.zeros(16)
    latlon = PLACES.flip(-1)
    torch.testing.assert_close(ours(equal_earth(latlon).float()), theirs(latlon))


@pytest.mark.parametrize("options", [{"hidden_layers": 0}, {"first_omega": float("inf")}, {"dropout": "much"}])
def test_a_residual_siren_that_cannot_be_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ResidualSiren(4, 2, **options)


@pytest.mark.parametrize("kind", [BandedSiren, ResidualSiren])
def test_dropout_acts_in_training_only_and_gradients_are_right(kind: type) -> None:
    torch.manual_seed(2)
    network = kind(36, 3, hidden_dim=6, dropout=0.5).double()
    assert not torch.equal(network(FEATURES), network(FEATURES))
    assert torch.equal(network.eval()(FEATURES), network(FEATURES))
    assert torch.autograd.gradcheck(network, FEATURES[:2].clone().requires_grad_())
    options = json.loads(json.dumps(network.options()))
    assert kind(36, 3, **options).options() == options


@pytest.mark.parametrize("kind", [BandedSiren, ResidualSiren])
def test_float32_is_float64_rounded(kind: type) -> None:
    torch.manual_seed(3)
    encoder = LocationEncoder(SphericalHarmonics(16), kind, 6).eval()
    with torch.no_grad():
        single, double = encoder(PLACES), encoder.double()(PLACES)
    torch.testing.assert_close(single.double(), double, atol=2e-5, rtol=0)
