import math

import pytest
import torch

from satclip.vision import StatisticsTower


def tower(features: int = 256, dim: int = 300, **options: object) -> StatisticsTower:
    return StatisticsTower(in_channels=2, embedding_dim=dim, features=features, **options).eval()  # type: ignore[arg-type]


def test_the_statistics_of_a_ramp_are_those_that_one_can_work_out() -> None:
    ramp = torch.arange(32.0).expand(1, 2, 32, 32).clone()
    ramp[:, 1] = ramp[:, 1].mT * 3  # down instead of across
    found = tower(windows=(0.5,)).statistics(ramp)
    inner = torch.arange(8.0, 24.0)
    deviation = float(inner.std(correction=0))
    expected = [15.5, 46.5, deviation, 3 * deviation, 0.0, 3.0, 1.0, 0.0]  # means, deviations, down, across
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_inner_products_are_the_gaussian_likeness_of_the_statistics() -> None:
    maker = tower(4096, 4096, length_scale=0.8)
    maker.centre = torch.nn.Identity()  # type: ignore[assignment] - the waves themselves
    images = (
        torch.rand(6, 2, 16, 16, generator=torch.Generator().manual_seed(1))
        * torch.linspace(1, 3, 6)[:, None, None, None]
    )
    with torch.no_grad():
        statistics = maker.standardise(maker.statistics(images))
        waves = maker(images)
    distance = torch.cdist(statistics, statistics) ** 2 / statistics.shape[1]
    torch.testing.assert_close(waves @ waves.T / 2048, torch.exp(-distance / (2 * 0.8**2)), atol=0.03, rtol=0)


def test_nothing_of_it_learns_and_the_numbers_behind_the_features_are_zero() -> None:
    maker = tower(257, 300).train()
    found = maker(torch.rand(64, 2, 16, 16))
    assert not list(maker.parameters())
    assert found.shape == (64, 300)
    assert not found[:, 257:].any()
    torch.testing.assert_close(found[:, :257].mean(0), torch.zeros(257), atol=1e-4, rtol=0)


def test_the_draw_is_the_same_wherever_it_is_made_and_part_of_the_weights() -> None:
    assert torch.equal(tower(draw=3).waves, tower(draw=3).waves)
    assert not torch.equal(tower(draw=3).waves, tower(draw=4).waves)
    assert "waves" in tower().state_dict()


def test_a_far_outlier_counts_as_four_deviations() -> None:
    maker = tower(64, 64)
    far, farther = torch.full((1, 2, 16, 16), 1e3), torch.full((1, 2, 16, 16), 1e6)
    torch.testing.assert_close(maker(far), maker(farther))
    assert math.isfinite(float(maker(farther).sum()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"features": 0}, "vision.features=0 must be 1 to embedding_dim=300"),
        ({"features": 301}, "vision.features=301"),
        ({"windows": ()}, "vision.windows are shares"),
        ({"windows": (0.5, 2.0)}, "vision.windows are shares"),
        ({"length_scale": 0.0}, "vision.length_scale must be a positive number"),
    ],
)
def test_what_is_no_tower_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tower(**options)  # type: ignore[arg-type]


def test_an_image_without_room_for_the_narrowest_window_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 8 x 8 pixels"):
        tower()(torch.rand(1, 2, 7, 7))
