"""The probe's places: on land, labelled, even, and always the same."""

import numpy as np
import pytest
import torch

from satclip.downstream import places
from satclip.downstream.labels import available_tasks
from satclip.downstream.places import TooFewPlacesError, labelled_places
from satclip.region import Region


def test_every_place_has_every_label() -> None:
    found = labelled_places(500)
    assert found.lonlat.shape == (500, 2)
    assert found.lonlat.dtype == torch.float64
    assert set(found.labels) == {task.name for task in found.tasks} >= {"elevation", "climate zone", "country"}
    for task in found.tasks:
        label = found.labels[task.name]
        assert len(label) == 500
        if task.kind == "regression":
            assert label.isfinite().all()
        else:
            assert 0 <= label.min() <= label.max() < len(task.classes)


def test_the_labels_belong_to_their_places() -> None:
    found = labelled_places(500)
    for task in found.tasks:
        np.testing.assert_array_equal(found.labels[task.name].numpy(), task.labels(found.lonlat.numpy()))


def test_places_are_even_over_the_land_without_antarctica() -> None:
    found = labelled_places(500)
    assert found.lonlat[:, 1].min() > -60
    north = (found.lonlat[:, 1] > 0).double().mean()
    assert north == pytest.approx(0.74, abs=0.06)  # 100 of 135 million square kilometres
    tropics = (found.lonlat[:, 1].abs() < 23.44).double().mean()
    assert tropics == pytest.approx(0.37, abs=0.07)


def test_the_places_depend_on_nothing_but_the_count_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    with_all = labelled_places(200)
    monkeypatch.setattr(places, "available_tasks", lambda: available_tasks()[:3])
    labelled_places.cache_clear()
    assert torch.equal(labelled_places(200).lonlat, with_all.lonlat)
    assert not torch.equal(labelled_places(200, seed=1).lonlat, with_all.lonlat)
    labelled_places.cache_clear()


def test_a_region_has_places_of_its_own_no_nearer_than_their_labels_are_true() -> None:
    bering = Region.of([160, 55, -150, 72])  # Chukotka and Alaska, across the date line
    found = labelled_places(300, region=bering)
    assert len(found.lonlat) == 300
    assert bering.contains(found.lonlat).all()
    assert (found.lonlat[:, 0] > 0).any()
    assert (found.lonlat[:, 0] < 0).any()
    tile = labelled_places(10_000, region=Region.of([20, 5, 22, 7]))  # 222 x 221 kilometres
    assert 300 < len(tile.lonlat) < 500
    assert {task.name for task in tile.tasks} >= {"elevation", "land cover"}
    assert "climate zone" not in {task.name for task in tile.tasks}  # one zone alone tells nothing
    with pytest.raises(TooFewPlacesError, match=r"\d+ places with labels in 11\.3° E .* a probe needs 100"):
        labelled_places(10_000, region=Region.of([11.3, 48.0, 11.8, 48.3]))


def test_no_places_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one place, got 0"):
        labelled_places(0)
