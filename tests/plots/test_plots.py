"""Pictures: the projection against PROJ, the components against NumPy, the map pixel by pixel."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.plots import globe_picture, principal_components, similarity_map
from satclip.plots.colours import CORNERS, equalise, natural_colours
from satclip.plots.projection import HALF_HEIGHT, HALF_WIDTH, project, unproject
from satclip.plots.world import map_position, save, world
from satclip.sphere import uniform_on_sphere, unit_vectors

SAHARA, AMAZON, AUSTRALIA, PACIFIC = (15.0, 23.0), (-62.0, -5.0), (134.0, -25.0), (-140.0, 0.0)


class Waves(nn.Module):
    """A smooth embedding of the sphere in six numbers, with weights to tell a device by."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(4 * torch.randn(3, 6, generator=generator, dtype=torch.float64))

    def forward(self, lonlat: Tensor) -> Tensor:
        assert not self.training
        return (unit_vectors(lonlat) @ self.weight).sin()


def pixels(path: Path) -> np.ndarray:
    """The picture, RGBA from 0 to 255."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))


def pixel(path: Path, place: tuple[float, float]) -> np.ndarray:
    """The colour, RGBA from 0 to 255, that the map shows at a place."""
    picture = pixels(path)
    x, y = map_position(*place)
    row = round((1 - y / (1.01 * HALF_HEIGHT)) / 2 * picture.shape[0])
    column = round((1 + x / (1.01 * HALF_WIDTH)) / 2 * picture.shape[1])
    return picture[row, column].astype(int)


def test_equal_earth_is_what_proj_computes() -> None:
    pyproj = pytest.importorskip("pyproj")
    lonlat = uniform_on_sphere(500, torch.Generator().manual_seed(0)).numpy()
    expected = np.stack(pyproj.Proj("+proj=eqearth +R=1")(lonlat[:, 0], lonlat[:, 1]), axis=-1)
    np.testing.assert_allclose(project(lonlat), expected, atol=1e-9)


def test_the_map_can_be_read_backwards_and_ends_at_its_outline() -> None:
    lonlat = np.array([[0.0, 0.0], [179.0, 89.9], [-179.0, -60.0], [25.0, 45.0]])
    np.testing.assert_allclose(unproject(project(lonlat)), lonlat, atol=1e-9)
    outside = np.array([[HALF_WIDTH * 1.001, 0.0], [0.0, HALF_HEIGHT * 1.001], [HALF_WIDTH, HALF_HEIGHT]])
    assert np.isnan(unproject(outside)).all()


def test_principal_components_are_those_of_a_singular_value_decomposition() -> None:
    rows = torch.randn(200, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 9)
    directions = (rows / rows.norm(dim=1, keepdim=True)).double().numpy()
    centred = directions - directions.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    components = principal_components(rows).numpy()
    np.testing.assert_allclose(np.abs(components), np.abs(centred @ axes[:3].T), atol=1e-6)


def test_a_weight_is_a_number_of_copies_and_zero_has_no_say() -> None:
    rows = torch.randn(30, 5, generator=torch.Generator().manual_seed(1))
    weights = torch.tensor([2.0, 0.0, 1.0]).repeat(10)
    copied = torch.cat([rows[weights == 2], rows[weights == 2], rows[weights == 1]])
    torch.testing.assert_close(principal_components(rows, weights)[weights == 1], principal_components(copied)[20:])


def test_an_embedding_without_three_components_is_refused() -> None:
    with pytest.raises(ValueError, match="need 3 dimensions, got 2"):
        principal_components(torch.ones(4, 2))
    with pytest.raises(ValueError, match="diverged; lower the learning rate"):
        principal_components(torch.full((4, 5), torch.nan))


def test_equal_areas_take_equal_parts_of_the_colours() -> None:
    generator = torch.Generator().manual_seed(0)
    skewed = torch.randn(5000, generator=generator, dtype=torch.float64).exp()
    weights = torch.rand(5000, generator=generator, dtype=torch.float64)
    spread = equalise(skewed, weights)
    assert spread.min() >= 0
    assert spread.max() <= 1
    assert (spread[skewed.argsort()].diff() >= 0).all()
    stretch = (skewed - skewed.min()) / (skewed.max() - skewed.min())
    below = [float(weights[x < 0.5].sum() / weights.sum()) for x in (spread, stretch)]
    assert 0.5 < below[0] < 0.75
    assert below[1] > 0.95


def test_the_colours_do_not_depend_on_the_order_and_the_signs_of_the_components() -> None:
    lonlat = uniform_on_sphere(3000, torch.Generator().manual_seed(0))
    components = (unit_vectors(lonlat) @ torch.tensor([[3.0, 1, 0], [0, 2, 1], [1, 0, 2]]).double()).sin()
    weights = torch.ones(3000, dtype=torch.float64)
    colours = natural_colours(components, lonlat, weights)
    turned = natural_colours(components[:, [2, 0, 1]] * torch.tensor([1.0, -1.0, -1.0]), lonlat, weights)
    torch.testing.assert_close(turned, colours, atol=2e-3, rtol=0)
    assert (colours >= min(map(min, CORNERS.values())) / 255).all()
    assert (colours <= max(map(max, CORNERS.values())) / 255).all()


def test_the_map_shows_each_place_in_its_own_colour(tmp_path: Path) -> None:
    image = np.zeros((90, 180, 3))
    image[:45] = [1.0, 0.0, 0.0]  # the north red
    image[45:, 90:] = [0.0, 0.0, 1.0]  # the south-east blue
    image[45:, :90] = [0.0, 1.0, 0.0]  # the south-west green
    path = save(world(image)[0], tmp_path / "deep" / "map.png")
    assert pixel(path, SAHARA).tolist() == [255, 0, 0, 255]
    assert pixel(path, AUSTRALIA).tolist() == [0, 0, 255, 255]
    assert pixel(path, AMAZON).tolist() == [0, 255, 0, 255]
    assert pixel(path, (-177.0, 67.5)).tolist() == [255, 0, 0, 255]  # Chukotka, beyond the date line
    assert pixel(path, PACIFIC)[2] > 200
    assert pixels(path)[0, 0, 3] == 0  # transparent outside the world
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["map.png"]


@pytest.mark.parametrize(("name", "beginning"), [("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml")])
def test_a_picture_is_of_the_kind_that_its_name_says(name: str, beginning: bytes, tmp_path: Path) -> None:
    path = save(world(np.zeros((9, 18, 3)))[0], tmp_path / name)
    assert path.read_bytes().startswith(beginning)


def test_the_globe_is_small_sharp_and_the_same_every_time(tmp_path: Path) -> None:
    encoder = Waves().train()
    first = globe_picture(encoder, tmp_path / "a.png", degrees=2.0)
    second = globe_picture(encoder, str(tmp_path / "b.png"), degrees=2.0)
    assert encoder.training
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) < 600_000
    assert pixels(first).shape == (778, 1600, 4)
    colours = [pixel(first, place)[:3] for place in (SAHARA, AMAZON, AUSTRALIA, (105.0, 62.0))]
    assert min(np.abs(a - b).max() for i, a in enumerate(colours) for b in colours[:i]) > 25
    antarctica = pixel(first, (90.0, -80.0))[:3]
    assert antarctica.min() > 240  # no embedding was learned there


def test_the_similarity_map_is_darkest_where_it_was_asked(tmp_path: Path) -> None:
    class Direction(nn.Module):
        def forward(self, lonlat: Tensor) -> Tensor:
            return unit_vectors(lonlat)

    path = similarity_map(Direction(), *SAHARA, tmp_path / "similar.png", degrees=2.0)
    brightness = [pixel(path, place)[:3].sum() for place in ((20.0, 16.0), (77.0, 20.0), AUSTRALIA)]
    assert brightness[0] < brightness[1] < brightness[2]
    with pytest.raises(ValueError, match="swap"):
        similarity_map(Direction(), 48.85, 123.0, tmp_path / "bad.png")


def test_the_globe_shows_what_a_network_gives_and_not_where_a_continent_lies(tmp_path: Path) -> None:
    encoder = LocationEncoder(SphericalHarmonics(6), partial(Siren, hidden_dim=16), 30, skip_degrees=3, skip_scale=9.0)
    loud = globe_picture(encoder, tmp_path / "loud.png", degrees=4.0)
    quiet_encoder = LocationEncoder.from_config({**encoder.config(), "skip_scale": 0.1})
    quiet_encoder.load_state_dict(encoder.state_dict())
    assert loud.read_bytes() == globe_picture(quiet_encoder, tmp_path / "quiet.png", degrees=4.0).read_bytes()
