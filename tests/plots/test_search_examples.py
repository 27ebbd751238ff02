"""The picture of a search shows what the search found."""

from pathlib import Path

import pytest
import torch

from satclip.plots.search_examples import search_examples, searched, spread
from satclip.sphere import uniform_on_sphere


def test_each_picture_is_answered_in_the_order_of_its_cosines() -> None:
    locations = torch.eye(8)
    pictures = locations.clone()
    pictures[3] = torch.tensor([0.0, 0.9, 0.0, 0.5, 0.7, 0.0, 0.0, 0.0])
    found, rank = searched(3 * pictures[[0, 3]], locations, torch.tensor([0, 3]))
    assert found[:, 0].tolist() == [0, 1]
    assert found[1, :3].tolist() == [1, 4, 3]
    assert rank.tolist() == [1, 3]


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (3, 13), (40, 3)])
def test_any_number_of_places_and_channels_is_drawn(count: int, channels: int, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(count, 4, generator=generator)
    images = torch.rand(count, channels, 8, 8, generator=generator)
    lonlat = uniform_on_sphere(count, generator)
    rows = spread(count)
    path = search_examples(images[rows], rows, lonlat, vectors[rows], vectors, tmp_path / "examples.png")
    assert path.stat().st_size > 5_000
