"""Means and deviations of whole patches against NumPy on their parts, and that no augmentation reaches them."""

import numpy as np
import pytest
import torch

from satclip.data.batches.statistics import PatchStatistics
from satclip.data.geotiff.bands import ABSENT

from .conftest import MakeShards
from .test_datamodule import module


def patches(count: int = 5, side: int = 12) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 60_000, (count, 3, side, side), generator=generator).to(torch.uint16)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint8, torch.float32])
def test_statistics_are_those_of_the_parts(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satclip.data.batches.statistics.AT_ONCE", 1000)  # pieces of two patches
    raw = patches().to(dtype)
    found = PatchStatistics((2, ABSENT, 0), 10_000.0, (1, 4))(raw)
    values = raw.numpy().astype(np.float64) / 10_000
    values = np.stack([values[:, 2], 0 * values[:, 0], values[:, 0]], 1)
    expected = []
    for grid in (1, 4):
        parts = values.reshape(5, 3, grid, 12 // grid, grid, 12 // grid)
        expected += [parts.mean((3, 5)).reshape(5, -1), parts.std((3, 5)).reshape(5, -1)]
    np.testing.assert_allclose(found.numpy(), np.concatenate(expected, 1), rtol=2e-5, atol=2e-5)
    assert found.dtype == torch.float32
    assert found.shape == (5, PatchStatistics((2, ABSENT, 0), 1.0, (1, 4)).dim)


def test_padding_does_not_count_and_a_bright_patch_keeps_its_small_deviation() -> None:
    statistics = PatchStatistics((0,), 1.0, (1,))
    raw = torch.full((2, 1, 8, 8), 60_000.0)
    raw[0, 0, ::2] += 1
    raw[1, 0, 5:] = 0  # padding
    sizes = torch.tensor([[8, 8], [5, 8]])
    torch.testing.assert_close(statistics(raw, sizes), torch.tensor([[60_000.5, 0.5], [60_000.0, 0.0]]))
    assert statistics(raw[:0], sizes[:0]).shape == (0, 2)


def test_grids_that_no_patch_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dataset.image_statistics takes different numbers of 1 or more, got \[0\]"):
        PatchStatistics((0,), 1.0, (0,))
    with pytest.raises(ValueError, match=r"12 x 12 pixels have no 16 x 16 parts; give .* of 12 at most"):
        PatchStatistics((0,), 1.0, (16,))(patches())


def test_a_batch_has_the_same_statistics_whatever_the_epoch(make_shards: MakeShards) -> None:
    root = make_shards([9, 6])
    data = module(root, image_statistics=[1, 2])
    raw = next(iter(data.val_dataloader()))
    raw.pop("bad")
    first, second, held = (data.transform(dict(raw), epoch) for epoch in (0, 1, None))
    assert first["image_statistics"].shape == (len(raw["id"]), 2 * 3 * 5)
    assert torch.equal(first["image_statistics"], second["image_statistics"])
    assert torch.equal(first["image_statistics"], held["image_statistics"])
    assert "image_statistics" not in module(root).transform(dict(raw), 0)
