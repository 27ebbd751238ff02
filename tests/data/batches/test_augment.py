import math

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d
from torch import Tensor

from satclip.data.batches import augment
from satclip.data.batches.augment import BLUR, MOST_PIXELS, Augmentation, jitter
from satclip.data.geotiff.bands import ABSENT
from satclip.hashing import uniform
from satclip.sphere import great_circle_km

IDS = torch.arange(64)
LONLAT = torch.zeros(64, 2, dtype=torch.float64)


def plain(size: int, **options: object) -> Augmentation:
    settings = {"flips": False, "blur_sigma": None, "jitter_degrees": 0.0, "scale": 1.0, **options}
    return Augmentation([0, 1], size, **settings)


def numbered(count: int = 64, size: int = 6) -> Tensor:
    """Two bands whose pixels are all different, the same in every sample."""
    return torch.arange(2 * size * size, dtype=torch.uint8).view(1, 2, size, size).repeat(count, 1, 1, 1)


def images(augmentation: Augmentation, raw: Tensor, epoch: int = 0, seed: int = 0) -> Tensor:
    return augmentation.train(raw, LONLAT[: len(raw)], IDS[: len(raw)], seed=seed, epoch=epoch)[0]


def distinct(batch: Tensor) -> set[bytes]:
    return {np.ascontiguousarray(image).tobytes() for image in batch.numpy()}


def test_a_crop_is_a_window_of_the_patch_and_all_windows_come() -> None:
    raw = numbered()
    windows = {
        np.ascontiguousarray(raw[0, :, y : y + 4, x : x + 4].float()).tobytes() for y in range(3) for x in range(3)
    }
    assert distinct(images(plain(4), raw)) == windows


def test_flips_and_turns_reach_all_eight_symmetries_and_nothing_else() -> None:
    raw = numbered()
    square = raw[0].float()
    turns = [torch.rot90(square, k, (1, 2)) for k in range(4)]
    symmetries = {np.ascontiguousarray(t).tobytes() for turn in turns for t in (turn, turn.flip(2))}
    assert distinct(images(plain(6, flips=True, rotate=True), raw)) == symmetries
    flips = {np.ascontiguousarray(s).tobytes() for s in (square, square.flip(1), square.flip(2), square.flip(1, 2))}
    assert distinct(images(plain(6, flips=True), raw)) == flips
    assert distinct(images(plain(6, rotate=True), raw)) == {np.ascontiguousarray(turn).tobytes() for turn in turns}


def test_validation_is_the_centre_crop_and_never_changes() -> None:
    raw = numbered()
    once = plain(4, flips=True, blur_sigma=(0.1, 2.0)).validation(raw)
    assert torch.equal(once, raw[:, :, 1:5, 1:5].float())


def test_sixteen_bit_values_survive_whole() -> None:
    raw = (
        torch.tensor([0, 1, 32767, 32768, 65535, 9], dtype=torch.int32)
        .to(torch.uint16)
        .view(1, 1, 1, 6)
        .repeat(1, 1, 6, 1)
    )
    augmentation = Augmentation([0], 6, 10_000.0, flips=False, blur_sigma=None)
    expected = torch.tensor([0, 1, 32767, 32768, 65535, 9]) / 10_000
    assert torch.equal(images(augmentation, raw)[0, 0, 3], expected)
    assert torch.equal(augmentation.validation(raw)[0, 0, 3], expected)


def test_wanted_bands_come_in_order_and_an_absent_one_is_zero() -> None:
    raw = torch.stack([torch.full((2, 4, 4), n, dtype=torch.uint8) for n in (10, 20, 30)], 1)
    augmentation = Augmentation([2, ABSENT, 0], 4, 10.0)
    for batch in (augmentation.validation(raw), images(augmentation, raw)):
        assert batch.shape == (2, 3, 4, 4)
        assert torch.allclose(batch.mean((0, 2, 3)), torch.tensor([3.0, 0.0, 1.0]))


def test_draws_belong_to_the_sample_not_to_its_batch() -> None:
    augmentation, raw = plain(4, flips=True, rotate=True, blur_sigma=(0.1, 2.0), jitter_degrees=0.01), numbered()
    whole, places = augmentation.train(raw, LONLAT, IDS, seed=5, epoch=2)
    some = torch.tensor([40, 3, 17])
    part, part_places = augmentation.train(raw[some], LONLAT[some], IDS[some], seed=5, epoch=2)
    assert torch.equal(part, whole[some])
    assert torch.equal(part_places, places[some])


def test_every_epoch_and_seed_draws_anew() -> None:
    augmentation, raw = plain(4, flips=True), numbered()
    first = images(augmentation, raw)
    assert torch.equal(first, images(augmentation, raw))
    assert not torch.equal(first, images(augmentation, raw, epoch=1))
    assert not torch.equal(first, images(augmentation, raw, seed=1))


def test_the_blur_is_scipys_gaussian_of_three_taps_with_mirrored_edges() -> None:
    noise = torch.randint(0, 60_000, (64, 2, 9, 9)).to(torch.uint16)
    for low, high in ((0.1, 0.1), (0.7, 0.7), (2.0, 2.0), (0.1, 2.0)):
        blurred = images(plain(9, blur_sigma=(low, high), scale=10_000.0), noise)
        sigmas = low + (high - low) * uniform(0, 0, BLUR, IDS).double().numpy()
        for sigma, image, found in zip(sigmas, noise, blurred, strict=True):
            taps = np.exp(-0.5 * (np.arange(-1, 2) / sigma) ** 2)
            expected = image.numpy().astype(np.float64) / 10_000
            for axis in (1, 2):
                expected = convolve1d(expected, taps / taps.sum(), axis=axis, mode="mirror")
            np.testing.assert_allclose(found, expected, atol=3e-6)


def test_a_batch_in_parts_is_the_batch_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = torch.randint(0, 60_000, (64, 2, 40, 40)).to(torch.uint16)
    augmentation = plain(33, flips=True, rotate=True, blur_sigma=(0.1, 2.0))
    whole = images(augmentation, raw)
    monkeypatch.setitem(MOST_PIXELS, "cpu", 10_000)
    assert torch.equal(images(augmentation, raw), whole)


@pytest.mark.parametrize("latitude", [0.0, 60.0, -85.0])
def test_jitter_is_centred_and_as_wide_in_kilometres_everywhere(latitude: float) -> None:
    places = torch.tensor([[10.0, latitude]], dtype=torch.float64).repeat(20_000, 1)
    augmentation = Augmentation([0], 1, 1.0, blur_sigma=None, jitter_degrees=0.01)
    ids = torch.arange(len(places))
    moved = augmentation.train(torch.zeros(len(places), 1, 1, 1, dtype=torch.uint8), places, ids, seed=0, epoch=0)[1]
    step = 0.01 * 111.195  # km
    north = (moved[:, 1] - latitude) * 111.195
    east = (moved[:, 0] - 10) * 111.195 * math.cos(math.radians(latitude))
    for axis in (north, east):
        assert axis.abs().max() < 1.001 * step
        assert axis.std() == pytest.approx(step / math.sqrt(3), rel=0.02)  # uniform: half width / sqrt 3
        assert abs(axis.mean()) < 0.02 * step
    assert abs(torch.corrcoef(torch.stack((north, east)))[0, 1]) < 0.03


def test_jitter_crosses_the_date_line_and_stays_on_the_globe() -> None:
    places = torch.tensor([[179.9999, 0.0], [-180.0, 10.0], [0.0, 90.0], [50.0, -90.0]], dtype=torch.float64)
    for corner in ((1, 1), (-1, -1), (1, -1), (-1, 1)):
        moved = jitter(places, torch.tensor([corner] * 4), 0.01)
        assert ((moved[:, 0] >= -180) & (moved[:, 0] < 180)).all()
        assert (moved[:, 1].abs() <= 90).all()
        assert great_circle_km(places, moved).max() < 0.0151 * 111.2


def test_a_patch_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(ValueError, match=r"patches of 6 x 6 pixels .* give dataset.image_size=6 or less"):
        plain(7).validation(numbered())
    with pytest.raises(ValueError, match="image_size=6 or less"):
        images(plain(7), numbered())


def test_what_does_not_belong_together_is_no_batch() -> None:
    """The compiled loop knows no bounds."""
    with pytest.raises(ValueError, match="64 patches, 64 places and 63 ids are no batch"):
        plain(4).train(numbered(), LONLAT, IDS[1:], seed=0, epoch=0)
    for batch in (plain(4).validation, lambda raw: images(plain(4), raw)):
        with pytest.raises(ValueError, match="band 1 is wanted of patches with 1"):
            batch(numbered()[:, :1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16])
@pytest.mark.parametrize("options", [{}, {"flips": True}, {"flips": True, "blur_sigma": (0.1, 2.0), "scale": 10_000.0}])
@pytest.mark.parametrize("size", [2, 5, 9])
def test_the_compiled_loop_gives_the_same_bits_as_torch(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, options: dict[str, object], size: int
) -> None:
    pytest.importorskip("satclip.data.geotiff.kernel", exc_type=ImportError)
    highest = torch.iinfo(dtype).max
    raw = torch.randint(0, highest, (33, 3, 9, 11), generator=torch.Generator().manual_seed(0)).to(dtype)
    augmentation = Augmentation([2, ABSENT, 0], size, **{"scale": 1.0, "blur_sigma": None, "flips": False, **options})
    compiled = images(augmentation, raw)
    monkeypatch.setattr(augment, "_kernel", lambda: None)
    assert torch.equal(compiled, images(augmentation, raw))


def test_turns_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiled loop smooths rows first whichever way up they are, and would round differently."""
    monkeypatch.setattr(augment, "_kernel", lambda: pytest.fail("the compiled loop knows no turns"))
    images(plain(6, rotate=True), numbered())


@pytest.mark.parametrize("sigma", [(2.0, 0.1), (0.0, 1.0), (-1.0, 1.0), (0.1, float("inf")), (float("nan"), 1.0)])
def test_bounds_of_the_blur_that_are_reversed_or_no_widths_are_refused(sigma: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match=r"dataset.blur_sigma takes \[low, high\] with 0 < low <= high"):
        plain(4, blur_sigma=sigma)
    assert plain(4, blur_sigma=(1.0, 1.0)).blur_sigma == (1.0, 1.0)
