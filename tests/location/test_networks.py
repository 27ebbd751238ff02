import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from satclip.location.networks import MLP, NETWORKS, FCNet, Linear, Siren

TABLE = (
    Path(__file__).parents[1] / "fixtures" / "encodings_networks.npz"
)  # features, weights and what the reference printed


@pytest.fixture(scope="module")
def printed() -> dict[str, torch.Tensor]:
    with np.load(TABLE) as table:
        return {name: torch.from_numpy(table[name]) for name in table.files}


CASES = {
    "linear": (Linear(100, 32), {"first": ""}),
    "mlp": (
        MLP(100, 32, hidden_dim=48, shared_hidden=True),
        {"first": "features.0.", "hidden.0": "features.2.", "last": "features.6."},
    ),
    "siren": (Siren(100, 32, hidden_dim=48), {"first": "layers.0.", "hidden.0": "layers.1.", "last": "last_layer."}),
    "fcnet": (
        FCNet(100, 32, hidden_dim=48),
        {"first": "feats.0.", "last": "class_emb."}
        | {f"blocks.{i}.inner": f"feats.{i + 2}.w1." for i in range(4)}
        | {f"blocks.{i}.outer": f"feats.{i + 2}.w2." for i in range(4)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_network_with_the_weights_of_the_reference_prints_its_numbers(name, printed):
    network, layers = CASES[name]
    network = network.double().eval()
    state = {}
    for ours in network.state_dict():
        layer, kind = ours.rsplit(".", 1)
        state[ours] = printed[f"{name}/weights/{layers[layer]}{kind}"]
    network.load_state_dict(state)
    torch.testing.assert_close(network(printed["features"]), printed[f"{name}/out"], atol=1e-9, rtol=0)


def test_the_four_names_of_the_reference_are_there_and_two_of_ours():
    assert set(NETWORKS) == {"siren", "fcnet", "mlp", "linear", "banded_siren", "residual_siren"}
    assert all(cls.name == name for name, cls in NETWORKS.items())


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    bands = {"degrees": [1, 2]} if request.param == "banded_siren" else {}
    return NETWORKS[request.param](in_dim=9, out_dim=5, **bands).eval()


def test_a_network_is_its_first_layer_and_the_rest(network):
    features = torch.randn(3, 9)
    assert isinstance(network.first, nn.Linear)
    assert torch.equal(network(features), network.rest(network.first(features)))
    assert network(features).shape == (3, 5)


def test_options_build_the_same_network_again(network):
    options = json.loads(json.dumps(network.options()))
    again = type(network)(in_dim=9, out_dim=5, **options)
    assert again.options() == network.options()
    again.load_state_dict(network.state_dict())
    features = torch.randn(3, 9)
    assert torch.equal(again.eval()(features), network(features))


def test_options_hold_what_was_asked_for():
    siren = Siren(4, 2, hidden_dim=8, hidden_layers=3, first_omega=5.0, hidden_omega=2.0, dropout=0.1)
    assert siren.options() == {
        "hidden_dim": 8,
        "hidden_layers": 3,
        "first_omega": 5.0,
        "hidden_omega": 2.0,
        "dropout": 0.1,
    }
    shared = MLP(4, 2, hidden_dim=8, hidden_layers=3, shared_hidden=True)
    assert shared.options() == {"hidden_dim": 8, "hidden_layers": 3, "shared_hidden": True}
    assert FCNet(4, 2, hidden_dim=8, dropout=0.2).options() == {"hidden_dim": 8, "dropout": 0.2}


def test_siren_starts_with_the_bounds_of_its_paper():
    torch.manual_seed(1)
    siren = Siren(100, 50, hidden_dim=600, hidden_layers=3, hidden_omega=2.0)
    bounds = {"first": 1 / 100, "hidden": (6 / 600) ** 0.5 / 2, "last": (6 / 600) ** 0.5 / 2}
    for name, weight in siren.named_parameters():
        bound = bounds[name.split(".")[0]]
        assert weight.abs().max() <= bound
        if name.endswith("weight"):
            assert weight.abs().max() > 0.99 * bound
            assert weight.abs().mean().item() == pytest.approx(bound / 2, rel=0.05)


def test_siren_multiplies_the_argument_of_its_sines():
    siren = Siren(3, 2, hidden_dim=4, hidden_layers=2, first_omega=7.0, hidden_omega=3.0)
    features = torch.randn(5, 3)
    inner = torch.sin(7 * (features @ siren.first.weight.T + siren.first.bias))
    outer = torch.sin(3 * (inner @ siren.hidden[0].weight.T + siren.hidden[0].bias))
    torch.testing.assert_close(siren(features), outer @ siren.last.weight.T + siren.last.bias)


@pytest.mark.parametrize("build", [lambda p: Siren(3, 2, dropout=p), lambda p: FCNet(3, 2, dropout=p)])
def test_dropout_acts_in_training_only(build):
    torch.manual_seed(2)
    features = torch.randn(4, 3)
    network = build(0.5)
    network.train()
    assert not torch.equal(network(features), network(features))
    network.eval()
    assert torch.equal(network(features), network(features))
    calm = build(0.0).train()
    assert torch.equal(calm(features), calm(features))


def test_hidden_layers_of_an_mlp_have_weights_of_their_own():
    def size(**options: object) -> int:
        return sum(weight.numel() for weight in MLP(3, 2, hidden_dim=8, hidden_layers=3, **options).parameters())

    assert size() - size(shared_hidden=True) == 2 * (8 * 8 + 8)


def test_an_mlp_without_hidden_layers_has_two_affine_ones():
    for shared in (False, True):
        mlp = MLP(3, 2, hidden_dim=8, hidden_layers=0, shared_hidden=shared)
        features = torch.randn(4, 3)
        torch.testing.assert_close(mlp(features), mlp.last(mlp.first(features).relu()))


def test_a_siren_without_sines_is_refused():
    with pytest.raises(ValueError, match="hidden_layers must be at least 1, got 0"):
        Siren(3, 2, hidden_layers=0)
