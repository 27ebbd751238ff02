import pytest
import torch

from satclip.vision import TinyCNN


@pytest.mark.parametrize("side", [16, 17, 32, 48, 224])
@pytest.mark.parametrize("bands", [1, 3, 13])
def test_any_number_of_bands_and_any_size_from_16_pixels_gives_an_embedding(bands: int, side: int) -> None:
    tower = TinyCNN(in_channels=bands, embedding_dim=24)
    assert tower(torch.rand(2, bands, side, side + 3)).shape == (2, 24)


def test_it_is_small_enough_for_a_laptop() -> None:
    count = sum(weight.numel() for weight in TinyCNN(in_channels=3, embedding_dim=256).parameters())
    assert 100_000 < count < 300_000


def test_the_memory_layout_of_the_images_does_not_change_the_embedding() -> None:
    tower = TinyCNN(in_channels=3, embedding_dim=8).eval()
    images = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(tower(images), tower(images.contiguous(memory_format=torch.channels_last)))


def test_bands_of_any_range_are_standardised() -> None:
    tower = TinyCNN(in_channels=3, embedding_dim=8)
    images = torch.rand(16, 3, 32, 32)
    ranges = torch.tensor([1.0, 100.0, 10_000.0]).view(3, 1, 1)
    torch.testing.assert_close(tower(ranges * (images + 3)), tower(images), rtol=1e-3, atol=1e-3)


def test_it_sees_on_which_side_something_lies() -> None:
    tower = TinyCNN(in_channels=1, embedding_dim=8).eval()
    coast = torch.zeros(1, 1, 32, 32)
    coast[..., :16] = 1
    assert not torch.allclose(tower(coast), tower(coast.flip(-1)), atol=1e-3)


@pytest.mark.parametrize("shrink", [0, 5])
def test_shrinking_to_nothing_is_refused(shrink: int) -> None:
    with pytest.raises(ValueError, match=f"shrink must be 1 to 4, got {shrink}"):
        TinyCNN(in_channels=3, embedding_dim=8, shrink=shrink)


def test_it_can_tell_colours_apart_after_a_few_steps() -> None:
    torch.manual_seed(0)
    tower = TinyCNN(in_channels=3, embedding_dim=2, width=8)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=1e-2)
    images = 0.2 * torch.rand(32, 3, 16, 16)
    green = torch.arange(32) % 2
    images[green == 1, 1] += 0.1
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(tower(images), green).backward()
        optimizer.step()
    assert (tower.eval()(images).argmax(1) == green).float().mean() > 0.9


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 12, 32, 32), r"takes 13 bands, got 12 in images \[2, 12, 32, 32\]; list as many dataset.bands"),
        ((13, 32, 32), r"expected images \[B, 13, H, W\], got \[13, 32, 32\]; add the batch dimension"),
        ((2, 13, 32, 8), "at least 16 x 16 pixels, got 32 x 8; raise dataset.image_size"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_the_option_to_change(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TinyCNN(in_channels=13, embedding_dim=8)(torch.rand(shape))
