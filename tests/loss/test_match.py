import pytest
import torch

from satclip.loss import MatchLoss

GENERATOR = torch.Generator().manual_seed(0)
IMAGES, LOCATIONS = (torch.randn(9, 6, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
SCALE = torch.tensor(1.0)


def test_it_is_the_mean_square_difference_of_the_numbers_that_a_picture_has() -> None:
    found = MatchLoss(4)(IMAGES, LOCATIONS, SCALE)
    torch.testing.assert_close(found, torch.nn.functional.mse_loss(LOCATIONS[:, :4], IMAGES[:, :4]))


def test_what_passes_by_the_network_is_pulled_nowhere() -> None:
    locations = LOCATIONS.clone().requires_grad_()
    MatchLoss(4)(IMAGES, locations, SCALE).backward()
    assert locations.grad is not None
    assert not locations.grad[:, 4:].any()
    torch.testing.assert_close(locations.grad[:, :4], 2 * (LOCATIONS - IMAGES)[:, :4] / (9 * 4))


def test_half_precision_is_summed_in_float32() -> None:
    assert MatchLoss(6)(IMAGES.half(), LOCATIONS.half(), SCALE).dtype is torch.float32


@pytest.mark.parametrize("shape", [(9, 3), (8, 6), (9,)])
def test_embeddings_that_do_not_fit_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="D at least 4"):
        MatchLoss(4)(torch.zeros(shape), LOCATIONS, SCALE)


def test_a_loss_of_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match=r"loss\.features must be at least 1, got 0"):
        MatchLoss(0)
