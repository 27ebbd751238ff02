import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from satclip.location.encodings import ENCODINGS, REFERENCE, SphericalHarmonics
from satclip.sphere import uniform_on_sphere

TABLE = Path(__file__).parents[1] / "fixtures" / "encodings.npz"  # what the reference printed, float64
PLAIN = ("direct", "cartesian3d", "wrap")
MULTI_SCALE = ("grid", "spherec", "spherecplus", "spherem", "spheremplus", "theory")
SEAMLESS = ("cartesian3d", "wrap", "sphericalharmonics", "fourier", "voronoi")
ONE_AT_THE_POLES = ("cartesian3d", "sphericalharmonics", "fourier", "voronoi")


@pytest.fixture(scope="module")
def printed() -> dict[str, torch.Tensor]:
    with np.load(TABLE) as table:
        return {name: torch.from_numpy(table[name]) for name in table.files}


@pytest.fixture(params=REFERENCE)
def encoding(request: pytest.FixtureRequest) -> torch.nn.Module:
    """Those that are formulas; the others have tests of their own."""
    return REFERENCE[request.param]()


def test_the_ten_names_are_those_of_the_reference():
    assert set(REFERENCE) == {*PLAIN, *MULTI_SCALE, "sphericalharmonics"}
    assert all(cls().name == name for name, cls in ENCODINGS.items())


@pytest.mark.parametrize("name", [*PLAIN, *MULTI_SCALE])
def test_an_encoding_is_that_of_the_reference(name, printed):
    torch.testing.assert_close(ENCODINGS[name]()(printed["lonlat"]), printed[name], atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", MULTI_SCALE)
def test_fine_wavelengths_are_those_of_the_reference(name, printed):
    fine = ENCODINGS[name](frequencies=32, min_radius=1e-5, max_radius=1e-3)
    torch.testing.assert_close(fine(printed["lonlat"]), printed[f"{name}_r0.001_1e-05_f32"], atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("calculation", "key"), [("analytic", "sphericalharmonics"), ("closed-form", "sphericalharmonics_closed")]
)
@pytest.mark.parametrize("with_gradient", [False, True])
def test_harmonics_are_those_of_the_reference(calculation, key, with_gradient, printed):
    lonlat = printed["lonlat"].clone().requires_grad_(with_gradient)
    features = SphericalHarmonics(10, calculation)(lonlat)
    assert features.requires_grad == with_gradient
    torch.testing.assert_close(features.detach(), printed[key], atol=1e-9, rtol=0)


def test_shape_and_type_follow_the_places(encoding):
    places = uniform_on_sphere(6, torch.Generator().manual_seed(0)).reshape(2, 3, 2)
    for dtype in (torch.float32, torch.float64):
        features = encoding(places.to(dtype))
        assert features.shape == (2, 3, encoding.dim)
        assert features.dtype == dtype
    assert encoding(places, torch.float16).dtype == torch.float16
    assert encoding(torch.tensor([[10, 20]])).dtype == torch.float32
    assert encoding(places.reshape(-1, 2)[:0]).shape == (0, encoding.dim)


def test_an_angle_is_rounded_after_its_sine(encoding):
    """float32 features of float64 places are the float64 features, rounded: however fine the wavelength."""
    places = uniform_on_sphere(50, torch.Generator().manual_seed(1))
    exact = encoding(places)
    torch.testing.assert_close(encoding(places, torch.float32).double(), exact, atol=1e-6, rtol=1e-7)


def test_casting_a_model_leaves_its_constants_alone(encoding):
    places = uniform_on_sphere(20, torch.Generator().manual_seed(2))
    exact = encoding(places)
    assert torch.equal(encoding.half().to(torch.bfloat16).float()(places), exact)
    assert torch.equal(copy.deepcopy(encoding)(places), exact)
    revived = encoding.to("meta").to_empty(device="cpu")
    assert torch.equal(revived(places), exact)


def test_an_encoding_adds_nothing_to_a_checkpoint(encoding):
    assert encoding.state_dict() == {}
    assert not list(encoding.parameters())


def test_options_build_the_same_encoding_again(encoding):
    options = json.loads(json.dumps(encoding.options()))
    again = type(encoding)(**options)
    assert again.options() == encoding.options()
    assert again.dim == encoding.dim


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_date_line_has_no_seam_where_the_docs_say_so(name):
    west, east = (torch.tensor([[lon, 10.0], [lon, -70.0]], dtype=torch.float64) for lon in (-180.0, 180.0))
    encoding = ENCODINGS[name]().double().eval()
    jump = (encoding(west) - encoding(east)).abs().max()
    assert jump < closeness(name) if name in SEAMLESS else jump > 0.1


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("pole", [90.0, -90.0])
def test_a_pole_is_one_place_where_the_docs_say_so(name, pole):
    around = torch.tensor([[lon, pole] for lon in (-180.0, -77.7, 0.0, 33.3, 180.0)], dtype=torch.float64)
    features = ENCODINGS[name]().double()(around)
    spread = (features - features[2]).abs().max()
    assert spread < closeness(name) if name in ONE_AT_THE_POLES else spread > 0.1


def closeness(name: str) -> float:
    """Of features that are the same: weights and fine frequencies multiply the rounding of a sine."""
    return 1e-10 if name in ("fourier", "voronoi") else 1e-12


def test_gradients_reach_the_places(encoding):
    if encoding.name == "sphericalharmonics":
        encoding = SphericalHarmonics(5)
    places = torch.tensor([[12.0, 34.0], [-180.0, 90.0], [0.0, -90.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(encoding, places)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:FutureWarning")  # torch.func's own
def test_function_transforms_see_through_the_harmonics():
    encoding = SphericalHarmonics(4)
    places = uniform_on_sphere(3, torch.Generator().manual_seed(3))

    def features_of_one(place: torch.Tensor) -> torch.Tensor:
        return encoding(place[None])[0]

    torch.testing.assert_close(torch.func.vmap(features_of_one)(places), encoding(places))
    backward = torch.func.vmap(torch.func.jacrev(features_of_one))(places)
    forward = torch.func.vmap(torch.func.jacfwd(features_of_one))(places)
    torch.testing.assert_close(backward, forward)
    assert backward.abs().max() > 0.01


@pytest.mark.parametrize(
    "options", [{"frequencies": 0}, {"min_radius": 0.0}, {"max_radius": float("inf")}, {"min_radius": -1.0}]
)
@pytest.mark.parametrize("name", MULTI_SCALE)
def test_wavelengths_that_cannot_be_are_refused(name, options):
    with pytest.raises(ValueError, match=r"frequencies must be|radii must be"):
        ENCODINGS[name](**options)


def test_a_single_wavelength_is_the_finest():
    place = torch.tensor([[0.25, 0.5]], dtype=torch.float64)
    features = ENCODINGS["grid"](frequencies=1, min_radius=0.5, max_radius=9.0)(place)
    expected = torch.tensor([[0.5, 0.5, 1.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(features[:, ::2], expected[:, 1::2].sin())


def test_harmonics_need_a_degree_in_range():
    with pytest.raises(ValueError, match="legendre_polys must be 1 to 100, got 101"):
        SphericalHarmonics(101)
