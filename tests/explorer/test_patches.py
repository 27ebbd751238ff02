"""The training patches that a page names: by NumPy's own ranking, and only of the encoder's own store."""

from pathlib import Path

import numpy as np
import pytest
import torch

from satclip.explorer.page import build_page
from satclip.explorer.patches import nearest_patches
from satclip.index.store import Store
from satclip.location.encoder import LocationEncoder


def store(dims: int, count: int = 700) -> Store:
    random = np.random.default_rng(0)
    keys = random.normal(size=(count, dims)).astype(np.float16)
    places = np.stack((random.uniform(-180, 180, count), random.uniform(-90, 90, count)), 1)
    return Store(Path("store"), places, keys, keys, {"encoder": "another", "source": "elsewhere"})


def test_the_nearest_patches_are_those_of_the_highest_cosine() -> None:
    kept = store(16)
    queries = np.random.default_rng(1).normal(size=(1100, 16))
    found = nearest_patches(torch.from_numpy(queries), kept)
    keys = kept.keys.astype(np.float64)
    cosines = (queries @ keys.T) / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(keys, axis=1)
    best = np.argsort(-cosines, axis=1)[:, :5]
    np.testing.assert_allclose(found.lonlat[found.rows], kept.lonlat[best], atol=1e-4)
    np.testing.assert_allclose(found.cosines, np.take_along_axis(cosines, best, 1), atol=1e-5)
    assert found.searched == 700


def test_a_store_of_few_patches_names_them_all_and_an_empty_one_is_refused() -> None:
    assert nearest_patches(torch.ones(3, 4), store(4, count=2)).rows.shape == (3, 2)
    with pytest.raises(ValueError, match="holds no patch; build it of a data set that has training patches"):
        nearest_patches(torch.ones(3, 4), store(4, count=0))


def test_another_encoder_s_store_is_refused(encoder: LocationEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("satclip.explorer.probed.TASKS", ())
    with pytest.raises(ValueError, match="was built for another encoder"):
        build_page({"small": encoder}, degrees=30, store=store(24))
