"""The first numbers of an embedding: of length 1, on every way to embed, and told by what a training kept."""

from functools import partial

import pytest
import torch

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Grid, SphericalHarmonics
from satclip.location.grid import encode_grid
from satclip.location.networks import Siren
from satclip.location.prefix import shorten
from satclip.sphere import uniform_on_sphere

PLACES = uniform_on_sphere(700, torch.Generator().manual_seed(0))


def encoder(skip: int = 0, grid: bool = False) -> LocationEncoder:
    torch.manual_seed(0)
    encoding = Grid() if grid else SphericalHarmonics(5)
    return LocationEncoder(encoding, partial(Siren, hidden_dim=16), 12, skip_degrees=skip).eval()


@pytest.mark.parametrize("skip", [0, 3])
@pytest.mark.parametrize("dims", [1, 3, 10, 12])
def test_the_first_numbers_of_length_one_come_from_every_way_to_embed(skip: int, dims: int) -> None:
    whole, short = encoder(skip), shorten(encoder(skip), dims)
    with torch.no_grad():
        expected = torch.nn.functional.normalize(whole(PLACES)[:, :dims], dim=-1)
        torch.testing.assert_close(short(PLACES), expected)
        torch.testing.assert_close(torch.from_numpy(short.embed(PLACES)), expected)
    torch.testing.assert_close(short(PLACES), expected)  # with gradients, in one piece
    lons, lats = torch.linspace(-180, 170, 7).double(), torch.linspace(80, -80, 5).double()
    crossings = torch.cartesian_prod(lats, lons).flip(-1)
    torch.testing.assert_close(encode_grid(short, lons, lats).view(35, dims), short(crossings), rtol=1e-4, atol=1e-5)


def test_encodings_without_a_grid_of_their_own_are_shortened_too() -> None:
    short = shorten(encoder(grid=True), 4)
    grid = encode_grid(short, torch.tensor([0.0, 9.0]), torch.tensor([1.0]))
    assert grid.shape == (1, 2, 4)
    torch.testing.assert_close(grid.norm(dim=-1), torch.ones(1, 2))


def test_more_numbers_than_there_are_and_a_description_of_few_are_refused() -> None:
    with pytest.raises(ValueError, match="the embedding has 12 numbers, got dims=13"):
        shorten(encoder(), 13)
    with pytest.raises(ValueError, match="a shortened encoder is not saved"):
        shorten(encoder(), 3).config()


def test_a_description_keeps_the_prefixes_and_refuses_what_are_none() -> None:
    made = encoder()
    assert "nested" not in made.config()
    made.nested = (4, 12)
    again = LocationEncoder.from_config(made.config())
    assert again.nested == (4, 12)
    for wrong in ([4, 8], [12, 4, 12], ["a"], 4, [True, 12]):
        with pytest.raises(ValueError, match="nested must be whole numbers that ascend to embedding_dim=12"):
            LocationEncoder.from_config({**made.config(), "nested": wrong})
