from collections.abc import Iterator
from functools import partial

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Grid, SphericalHarmonics
from satclip.location.grid import encode_grid, encode_rows
from satclip.location.networks import NETWORKS, Siren

LONS = torch.linspace(-180, 180, 41)
LATS = torch.linspace(90, -90, 23)


def place_by_place(model: LocationEncoder, lons: torch.Tensor, lats: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.cartesian_prod(lats, lons).flip(-1)).reshape(len(lats), len(lons), -1)


HARMONICS = (
    SphericalHarmonics(1),
    SphericalHarmonics(8),
    SphericalHarmonics(40, "analytic"),
    SphericalHarmonics(14, damping="fixed", damping_exponent=0.3),
)


@pytest.mark.parametrize(
    ("encoding", "network"),
    [*((encoding, network) for encoding in HARMONICS for network in NETWORKS), (Grid(), "siren")],
)
def test_a_grid_is_what_its_places_are(encoding, network):
    torch.manual_seed(0)
    model = LocationEncoder(encoding, NETWORKS[network], 6).eval()
    expected = place_by_place(model, LONS, LATS)
    grid = encode_grid(model, LONS, LATS)
    assert grid.dtype == torch.float32
    torch.testing.assert_close(grid, expected, atol=1e-4, rtol=0)
    assert expected.std() > 1e-3


def test_in_float64_a_grid_is_exact():
    torch.manual_seed(1)
    model = LocationEncoder(SphericalHarmonics(40), partial(Siren, hidden_dim=16), 4).double().eval()
    torch.testing.assert_close(
        encode_grid(model, LONS.double(), LATS.double()),
        place_by_place(model, LONS.double(), LATS.double()),
        atol=1e-10,
        rtol=0,
    )


@pytest.mark.parametrize(("columns", "blocks"), [(5000, [1, 1, 1]), (1500, [2, 1]), (10, [3])])
def test_rows_come_in_blocks_of_some_thousand_places(columns, blocks):
    model = LocationEncoder(SphericalHarmonics(3), partial(Siren, hidden_dim=4), 2).eval()
    stream = encode_rows(model, torch.linspace(-180, 180, columns), LATS[:3])
    assert isinstance(stream, Iterator)
    assert [tuple(block.shape) for block in stream] == [(rows, columns, 2) for rows in blocks]


def test_rows_carry_no_graph_and_leave_gradients_on():
    model = LocationEncoder(SphericalHarmonics(3), partial(Siren, hidden_dim=4), 2)
    for block in encode_rows(model, LONS, LATS):
        assert not block.requires_grad
        assert torch.is_grad_enabled()


def test_autocast_leaves_the_first_layer_of_a_grid_alone():
    model = LocationEncoder(SphericalHarmonics(20), NETWORKS["linear"], 4).eval()
    plain = encode_grid(model, LONS, LATS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(encode_grid(model, LONS, LATS), plain)


@pytest.mark.parametrize(
    ("lons", "lats"), [(torch.zeros(2, 2), LATS), (LONS, torch.zeros(0)), (LONS, torch.tensor(1.0))]
)
def test_axes_that_are_no_axes_are_refused(lons, lats):
    model = LocationEncoder(SphericalHarmonics(3), NETWORKS["linear"], 2)
    with pytest.raises(ValueError, match=r"lons and lats must be \[C\] and \[R\] degrees"):
        encode_grid(model, lons, lats)
