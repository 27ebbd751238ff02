import json
import subprocess
import sys
from functools import partial

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS, Cartesian3D, SphericalHarmonics
from satclip.location.networks import NETWORKS, Linear, Siren
from satclip.sphere import uniform_on_sphere

PLACES = uniform_on_sphere(700, torch.Generator().manual_seed(0))


@pytest.fixture
def encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(40), partial(Siren, hidden_dim=32), 8).eval()


def test_dimensions_flow_from_the_encoding():
    encoder = LocationEncoder(SphericalHarmonics(7), partial(Siren, hidden_dim=16), 5)
    assert encoder.network.first.in_features == encoder.encoding.dim == 49
    assert encoder(PLACES[:3]).shape == (3, 5)


@pytest.mark.parametrize(
    ("encoding", "network"),
    [(le, pe) for le in ENCODINGS for pe in NETWORKS if pe != "banded_siren" or le == "sphericalharmonics"],
)
def test_a_configuration_builds_the_same_encoder_again(encoding, network):
    torch.manual_seed(1)
    encoder = LocationEncoder(ENCODINGS[encoding](), NETWORKS[network], 4).eval()
    config = json.loads(json.dumps(encoder.config()))
    assert config["encoding"]["name"] == encoding
    again = LocationEncoder.from_config(config).eval()
    again.load_state_dict(encoder.state_dict())
    assert again.config() == encoder.config()
    assert torch.equal(again(PLACES[:5]), encoder(PLACES[:5]))


@pytest.mark.parametrize(("key", "known"), [("encoding", "wrap"), ("network", "siren")])
def test_unknown_names_are_answered_with_the_known_ones(encoder, key, known):
    config = encoder.config()
    config[key] = {"name": "nosuch"}
    with pytest.raises(ValueError, match=rf"unknown {key} 'nosuch'; known are .*{known}"):
        LocationEncoder.from_config(config)


@pytest.mark.parametrize("shape", [(2,), (3, 3), (4, 5, 2)])
def test_places_of_another_shape_are_refused(encoder, shape):
    with pytest.raises(ValueError, match=r"lonlat must be \[B, 2\], longitude first"):
        encoder(torch.zeros(shape))


@pytest.mark.parametrize("count", [0, 1, 255, 1310, 1311, 5000])
def test_blocks_give_what_the_whole_gives(encoder, count):
    places = uniform_on_sphere(count, torch.Generator().manual_seed(2))
    whole = encoder(places)
    with torch.inference_mode():
        blocks = encoder(places)
    assert blocks.shape == (count, 8)
    torch.testing.assert_close(blocks, whole.detach(), atol=1e-5, rtol=0)


def test_the_embedding_has_the_type_of_the_weights(encoder):
    single = encoder(PLACES)
    assert single.dtype == encoder(PLACES.float()).dtype == torch.float32
    double = encoder.double()(PLACES)
    assert double.dtype == encoder(PLACES.float()).dtype == torch.float64
    torch.testing.assert_close(single.double(), double, atol=2e-5, rtol=0)


def test_places_in_whole_degrees_may_be_integers(encoder):
    whole = torch.tensor([[10, 20], [-30, 40]])
    torch.testing.assert_close(encoder(whole), encoder(whole.double()))


def test_autocast_reaches_the_network_and_never_the_harmonics():
    torch.manual_seed(3)
    encoder = LocationEncoder(SphericalHarmonics(40), Linear, 8)
    seen = []
    encoder.network.first.register_forward_pre_hook(lambda _, features: seen.append(features[0]))
    encoder(PLACES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        embeddings = encoder(PLACES)
    assert embeddings.dtype == torch.bfloat16
    assert seen[1].dtype == torch.float32
    assert torch.equal(seen[0], seen[1])


def test_training_records_nothing_of_the_harmonics(encoder):
    seen = []
    encoder.network.first.register_forward_pre_hook(lambda _, features: seen.append(features[0]))
    encoder.train()(PLACES).sum().backward()
    assert not seen[0].requires_grad
    assert encoder.network.first.weight.grad is not None


def test_gradients_reach_the_places_through_the_whole_encoder():
    torch.manual_seed(4)
    encoder = LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=8), 3).double()
    places = torch.tensor([[0.0, 90.0], [180.0, -12.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encoder, places)


def test_the_whole_graph_can_be_captured(encoder):
    torch._dynamo.reset()
    captured = torch.compile(encoder, backend="aot_eager", fullgraph=True)
    for places in (PLACES, PLACES[:33].clone().requires_grad_()):
        torch.testing.assert_close(captured(places), encoder(places), atol=1e-6, rtol=0)


def test_an_exported_encoder_takes_any_number_of_places(encoder):
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        exported = torch.export.export(encoder, (PLACES[:5],), dynamic_shapes=({0: batch},))
        for count in (1, 7, 700):
            torch.testing.assert_close(exported.module()(PLACES[:count]), encoder(PLACES[:count]), atol=1e-6, rtol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_compiled_encoder_gives_the_same_embeddings(encoder):
    torch._dynamo.reset()
    compiled = torch.compile(encoder, fullgraph=True, dynamic=True)
    for count in (8, 700):
        torch.testing.assert_close(compiled(PLACES[:count]), encoder(PLACES[:count]), atol=1e-5, rtol=0)


@pytest.mark.slow
def test_memory_is_that_of_a_block_and_not_of_all_features():
    """200,000 places at L = 40 have 1.3 GB of float32 features; 50 MB of embeddings may add a block, not that."""
    program = """
import resource, sys, torch
from functools import partial
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
encoder = LocationEncoder(SphericalHarmonics(40), partial(Siren, hidden_dim=64), 64).eval()
places = torch.rand(200_000, 2, dtype=torch.float64) * 90
with torch.inference_mode():
    encoder(places[:5000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder(places)
sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""
    grown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert int(grown) < 150_000  # kilobytes


def test_an_encoding_without_frequencies_needs_no_blocks():
    encoder = LocationEncoder(Cartesian3D(), Linear, 3)
    with torch.no_grad():
        assert encoder(PLACES).shape == (700, 3)


@pytest.mark.parametrize("training", [True, False])
def test_latitude_before_longitude_is_refused_where_it_shows(training):
    model = LocationEncoder(SphericalHarmonics(3), partial(Siren, hidden_dim=8), 4)
    swapped = torch.tensor([[48.86, 2.35], [40.7, -174.0]])
    with torch.set_grad_enabled(training), pytest.raises(ValueError, match="swap"):
        model(swapped)
    assert model(swapped.flip(-1)).shape == (2, 4)
