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


def damped(degrees: int, *, damping: float = 1.0, zonal: float = 1.0, scale: float = 1.0) -> LocationEncoder:
    torch.manual_seed(0)
    options = {"skip_degrees": degrees, "skip_damping": damping, "skip_zonal": zonal, "skip_scale": scale}
    return LocationEncoder(SphericalHarmonics(8), partial(Siren, hidden_dim=32), 80, **options).double().eval()  # type: ignore[arg-type]


@pytest.mark.parametrize(("damping", "zonal"), [(1.5, 1.0), (1.0, 3.0), (0.0, 2.0)])
def test_damped_degrees_are_a_kernel_whose_spectrum_falls_with_the_degree(damping: float, zonal: float) -> None:
    encoder = damped(8, damping=damping, zonal=zonal)
    with torch.no_grad():
        skipped = encoder(PLACES[:50])[:, -63:]
        harmonics = encoder.encoding(PLACES[:50])
    wanted = torch.zeros(50, 50, dtype=torch.float64)
    weights = 0.0
    for degree in range(1, 8):
        for order in range(-degree, degree + 1):
            deviation = (1 + degree) ** -damping * (zonal if order == 0 else 1.0)
            column = harmonics[:, degree * degree + degree + order]
            wanted += deviation**2 * torch.outer(column, column)
            weights += deviation**2
    torch.testing.assert_close(skipped @ skipped.T, wanted * 4 * torch.pi * 63 / weights, rtol=1e-5, atol=1e-5)


def test_each_of_the_mixed_numbers_has_about_the_same_spread_so_that_z_scores_keep_the_damping() -> None:
    with torch.no_grad():
        spread = damped(8, damping=1.0, zonal=3.0, scale=2.0)(PLACES)[:, -63:].square().mean(0).sqrt()
    assert 1.3 < float(spread.min()) < float(spread.max()) < 2.7
    assert abs(float(spread.square().mean().sqrt()) - 2) < 0.05


def test_a_damped_skip_is_described_rebuilt_and_the_same_on_a_grid() -> None:
    encoder = damped(5, damping=1.25, zonal=2.0)
    again = LocationEncoder.from_config(json.loads(json.dumps(encoder.config()))).double().eval()
    again.load_state_dict(encoder.state_dict())  # holds no number of the skip
    assert torch.equal(again(PLACES[:5]), encoder(PLACES[:5]))
    lons, lats = torch.linspace(-180, 180, 13).double(), torch.linspace(90, -90, 7).double()
    with torch.no_grad():
        places = encoder(torch.cartesian_prod(lats, lons).flip(-1)).reshape(7, 13, 80)
    torch.testing.assert_close(encode_grid(encoder, lons, lats), places, atol=1e-7, rtol=0)


@pytest.mark.parametrize("options", [{"damping": -1.0}, {"zonal": 0.0}, {"scale": float("inf")}])
def test_a_skip_that_no_number_describes_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="skip_damping must be 0 or more"):
        damped(4, **options)
