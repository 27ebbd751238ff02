"""What an encoder takes, and what it says to anything else."""

import copy
import warnings
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS, SphericalHarmonics
from satclip.location.networks import FCNet, Siren
from satclip.model import TwoTowers
from satclip.vision import TinyCNN

PLACE = np.array([2.35, 48.86])


@pytest.fixture
def encoder() -> LocationEncoder:
    torch.manual_seed(0)
    return LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), 8)


@pytest.mark.parametrize("given", [np.zeros((2, 2)), [[2.0, 48.0]], (2.0, 48.0), None, pd.DataFrame({"lon": [1.0]})])
def test_what_is_no_tensor_is_answered_with_the_ways_there_are(encoder: LocationEncoder, given: Any) -> None:
    with pytest.raises(TypeError, match=r"lonlat must be a tensor \[B, 2\] .* encoder.embed takes arrays"):
        encoder(given)


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        (torch.float16, "half a degree"),
        (torch.bfloat16, "half a degree"),
        (torch.complex64, "got torch.complex64"),
        (torch.bool, "got torch.bool"),
    ],
)
def test_numbers_that_place_nothing_are_refused(encoder: LocationEncoder, dtype: torch.dtype, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        encoder(torch.zeros(3, 2, dtype=dtype))


def test_sparse_and_nested_tensors_are_refused(encoder: LocationEncoder) -> None:
    for given in (torch.eye(2).to_sparse(), torch.nested.nested_tensor([torch.zeros(1, 2)], layout=torch.jagged)):
        with pytest.raises(TypeError, match="one dense tensor"):
            encoder(given)


def test_views_parameters_and_the_smallest_number_of_all_are_places_or_not(encoder: LocationEncoder) -> None:
    places = torch.rand(5, 4, dtype=torch.float64) * 80
    torch.testing.assert_close(encoder(places[:, ::2]), encoder(places[:, ::2].clone()))
    torch.testing.assert_close(encoder(torch.nn.Parameter(places[:, :2])), encoder(places[:, :2]))
    assert encoder(torch.zeros(0, 2)).shape == (0, 8)
    with pytest.raises(ValueError, match="are not"):
        encoder(torch.full((1, 2), -(2**63)))  # whose absolute value is itself, in whole numbers


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_weights_that_no_network_computes_in_are_named(encoder: LocationEncoder, dtype: torch.dtype) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, that complex modules are new
        odd = encoder.to(dtype)
    with pytest.raises(TypeError, match=rf"the encoder's weights are {dtype}.*encoder.float\(\)"):
        odd(torch.zeros(1, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_of_half_the_width_work(encoder: LocationEncoder, dtype: torch.dtype) -> None:
    places = torch.tensor([[2.35, 48.86]])
    half = copy.deepcopy(encoder).to(dtype)
    torch.testing.assert_close(half(places).float(), encoder(places), atol=0.05, rtol=0)
    assert half.embed(PLACE).dtype == np.float32


def test_images_that_are_no_tensor_are_told(encoder: LocationEncoder) -> None:
    model = TwoTowers(TinyCNN(width=8, in_channels=3, embedding_dim=8), encoder)
    with pytest.raises(TypeError, match=r"images must be a tensor .* got ndarray"):
        model(np.zeros((1, 3, 16, 16)), torch.zeros(1, 2))


def test_many_places_in_any_form_are_embedded_alike(encoder: LocationEncoder) -> None:
    geopandas = pytest.importorskip("geopandas")
    pyarrow = pytest.importorskip("pyarrow")
    points = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy(*PLACE[:, None]), crs="EPSG:4326")
    with torch.no_grad():
        wanted = encoder.eval()(torch.from_numpy(PLACE[None])).numpy()
    forms = {
        "array": PLACE[None],
        "list": [PLACE.tolist()],
        "tensor": torch.from_numpy(PLACE[None]),
        "frame": pd.DataFrame({"name": ["Paris"], "Longitude": PLACE[:1], "lat": PLACE[1:]}),
        "columns": {"lon": PLACE[:1], "lat": PLACE[1:].tolist()},
        "arrow": pyarrow.table({"x": PLACE[:1], "y": PLACE[1:]}),
        "points": points,
        "geometry": points.geometry,
    }
    for name, form in forms.items():
        found = encoder.embed(form)
        assert found.shape == (1, 8), name
        np.testing.assert_array_equal(found, wanted, err_msg=name)
    np.testing.assert_allclose(encoder.embed(points.to_crs(2154)), wanted, atol=1e-4)  # 1e-9 degrees
    assert encoder.embed(PLACE.tolist()).shape == (8,)  # one place alone
    assert encoder.embed([]).shape == encoder.embed(forms["frame"][:0]).shape == (0, 8)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        (np.zeros((4, 3)), ValueError, r"shape \[4, 3\]"),
        (np.zeros((2, 5)), ValueError, "give it transposed"),
        ([[1.0, 2.0], [3.0]], ValueError, "no array of numbers"),
        ([[0.0, 95.0]], ValueError, r"row 0: \(0, 95\); latitude must lie in \[-90, 90\]"),
        ([[np.nan, 5.0]], ValueError, "without NaN"),
        (np.ma.masked_array([[1.0, 2.0]], mask=[[0, 1]]), ValueError, "under a mask"),
        ("Paris", TypeError, "str holds"),
        (np.zeros((1, 2), np.float16), TypeError, "holds float16"),
        (torch.zeros(1, 2, dtype=torch.bfloat16), TypeError, "bfloat16"),
        (torch.zeros(1, 2, device="meta"), TypeError, "on meta"),
        ([[10**400, 1]], TypeError, "holds object"),
        (pd.DataFrame({"a": [1.0]}), ValueError, "no columns named like .* the columns are: a"),
        (pd.DataFrame({"lon": [1.0], "lng": [1.0], "lat": [1.0]}), ValueError, "lon, lng could all be meant"),
        (pd.DataFrame({"lon": ["1.0"], "lat": [1.0]}), TypeError, "column lon holds"),
        ({"lon": [1.0, 2.0], "lat": [1.0]}, ValueError, "columns of shapes"),
    ],
)
def test_what_places_nothing_is_told(encoder: LocationEncoder, given: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        encoder.embed(given)


def test_points_without_a_reference_system_and_shapes_are_told(encoder: LocationEncoder) -> None:
    geopandas = pytest.importorskip("geopandas")
    points = geopandas.GeoSeries(geopandas.points_from_xy([1.0], [2.0]))
    with pytest.raises(ValueError, match="no reference system"):
        encoder.embed(points)
    with pytest.raises(ValueError, match=r"there is a Polygon: take \.centroid"):
        encoder.embed(points.set_crs(3857).buffer(1))


def test_embedding_leaves_the_encoder_as_it_was() -> None:
    encoder = LocationEncoder(ENCODINGS["wrap"](), partial(FCNet, dropout=0.5), 4).train()
    encoder.network.blocks.eval()
    modes = [module.training for module in encoder.modules()]
    found = encoder.embed(np.zeros((5, 2)), batch_size=2)
    np.testing.assert_allclose(found, encoder.embed(np.zeros((5, 2))), atol=1e-6)  # no dropout
    assert [module.training for module in encoder.modules()] == modes
    assert all(weight.grad is None for weight in encoder.parameters())
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        encoder.embed(np.zeros((5, 2)), batch_size=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_embed_is_not_recorded_as_a_constant(encoder: LocationEncoder) -> None:
    with pytest.raises(RuntimeError, match=r"encoder\.embed cannot be traced"):
        torch.jit.trace(lambda lonlat: torch.from_numpy(encoder.embed(lonlat)), torch.zeros(2, 2))


def test_an_untrained_copy_has_the_shape_and_its_own_fresh_weights(encoder: LocationEncoder) -> None:
    before = torch.get_rng_state()
    fresh = encoder.double().untrained(3)
    assert torch.equal(torch.get_rng_state(), before)
    assert fresh.config() == encoder.config()
    assert (fresh.dtype, fresh.training) == (torch.float64, False)
    torch.manual_seed(3)
    same = LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), 8)
    for name, weight in fresh.state_dict().items():
        assert torch.equal(weight.float(), same.state_dict()[name]), name
    assert not torch.equal(fresh.network.first.weight, encoder.untrained(4).network.first.weight)
    assert not torch.equal(fresh.network.first.weight, encoder.network.first.weight)


def test_the_description_shows_what_it_is(encoder: LocationEncoder) -> None:
    shown = repr(encoder)
    assert "sphericalharmonics(legendre_polys=6" in shown
    assert "-> 36 -> siren -> 8" in shown
    assert "source='untrained, seed 5'" in repr(encoder.untrained(5))


def test_a_description_is_asked_for_by_a_call(encoder: LocationEncoder) -> None:
    with pytest.raises(TypeError, match=r"got method: LocationEncoder.from_config\(encoder.config\(\)\)"):
        LocationEncoder.from_config(encoder.config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"embedding_dim": "8"}, "embedding_dim must be a whole number above 0, got '8'"),
        ({"embedding_dim": -1}, "got -1"),
        ({"encoding": "wrap"}, "encoding must be a dictionary with a name"),
        ({"encoding": {"name": ["wrap"]}}, "encoding must be a dictionary with a name"),
        ({"network": {"name": "siren", "colour": "red"}}, "takes no such options .*colour"),
        ({"network": {"name": "siren", "first_omega": "x"}}, "first_omega must be a finite number, got 'x'"),
        ({"encoding": {"name": "sphericalharmonics", "legendre_polys": 2.5}}, "must be 1 to 100, got 2.5"),
    ],
)
def test_a_wrong_description_is_told(encoder: LocationEncoder, change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        LocationEncoder.from_config(encoder.config() | change)
