import json
from functools import partial

import pytest
import torch

from satclip.downstream.rivals.from_scratch import Headed
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Grid, SphericalHarmonics
from satclip.location.grid import encode_grid
from satclip.location.networks import Siren
from satclip.sphere import uniform_on_sphere

PLACES = uniform_on_sphere(20_000, torch.Generator().manual_seed(0))


def skipping(degrees: int, *, polys: int = 8, dim: int = 20) -> LocationEncoder:
    torch.manual_seed(0)
    network = partial(Siren, hidden_dim=32)
    return LocationEncoder(SphericalHarmonics(polys), network, dim, skip_degrees=degrees).double().eval()


def test_the_low_degrees_stand_behind_the_network_s_numbers_at_unit_variance() -> None:
    encoder = skipping(3)
    with torch.no_grad():
        embedding = encoder(PLACES)
        network = encoder.network(encoder.encoding(PLACES))
    assert embedding.shape == (len(PLACES), 20)
    assert torch.equal(embedding[:, :12], network)
    skipped = embedding[:, 12:]
    torch.testing.assert_close(skipped.T @ skipped / len(PLACES), torch.eye(8, dtype=torch.float64), atol=0.05, rtol=0)
    height = torch.sin(torch.deg2rad(PLACES[:, 1]))  # degree 1, order 0 is sqrt(3) z, but for the sign
    torch.testing.assert_close(skipped[:, 1].square(), 3 * height**2)


@pytest.mark.parametrize("degrees", [0, 1])
def test_no_degree_is_skipped_unless_asked_for(degrees: int) -> None:
    encoder = skipping(degrees)
    assert encoder.network.last.out_features == 20
    assert torch.equal(encoder(PLACES[:9]), encoder.network(encoder.encoding(PLACES[:9])))


def test_a_grid_has_the_low_degrees_as_well() -> None:
    encoder = skipping(4)
    lons, lats = torch.linspace(-180, 180, 13).double(), torch.linspace(90, -90, 7).double()
    with torch.no_grad():
        places = encoder(torch.cartesian_prod(lats, lons).flip(-1)).reshape(7, 13, 20)
    torch.testing.assert_close(encode_grid(encoder, lons, lats), places, atol=1e-10, rtol=0)


def test_it_is_part_of_the_configuration_and_absent_where_nothing_is_skipped() -> None:
    encoder = skipping(4)
    config = json.loads(json.dumps(encoder.config()))
    again = LocationEncoder.from_config(config).double().eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(PLACES[:5]), encoder(PLACES[:5]))
    assert "skip_degrees" not in skipping(0).config()  # folders of before stay what they were


def test_a_network_from_scratch_is_told_the_low_degrees_too() -> None:
    encoder = skipping(4)
    model = Headed(encoder.config(), 2)
    assert model(encoder.encoding(PLACES[:5], torch.float32)).shape == (5, 2)


@pytest.mark.parametrize(("degrees", "polys", "dim"), [(9, 8, 200), (5, 8, 24)])
def test_more_than_there_is_room_for_is_refused(degrees: int, polys: int, dim: int) -> None:
    with pytest.raises(ValueError, match=rf"skip_degrees={degrees} takes {degrees**2 - 1} numbers"):
        skipping(degrees, polys=polys, dim=dim)


def test_an_encoding_without_degrees_has_none_to_skip() -> None:
    with pytest.raises(ValueError, match="skip_degrees needs le_type=sphericalharmonics, got grid"):
        LocationEncoder(Grid(), Siren, 64, skip_degrees=2)
