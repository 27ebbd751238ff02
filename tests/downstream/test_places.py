"""The probe's places: on land, labelled, even, and always the same."""

import numpy as np
import pytest
import torch

from satclip.downstream import places
from satclip.downstream.labels import available_maps
from satclip.downstream.places import TooFewPlacesError, labelled_places
from satclip.region import Region


def test_every_place_has_every_label() -> None:
    found = labelled_places(500)
    assert {task.name for task in found} >= {"elevation", "climate_zone", "country"}
    for task in found:
        assert task.lonlat.shape == (500, 2)
        assert task.lonlat is found[0].lonlat  # one decomposition serves them all
        assert task.cell_degrees == (2.0, 10.0, 20.0, 40.0)


def test_the_labels_belong_to_their_places() -> None:
    maps = {each.name: each for each in available_maps()}
    for task in labelled_places(500):
        np.testing.assert_array_equal(task.target, maps[task.name].at(task.lonlat))


def test_places_are_even_over_the_land_without_antarctica() -> None:
    latitude = labelled_places(500)[0].lonlat[:, 1]
    assert latitude.min() > -60
    assert (latitude > 0).mean() == pytest.approx(0.74, abs=0.06)  # 100 of 135 million square kilometres
    assert (np.abs(latitude) < 23.44).mean() == pytest.approx(0.37, abs=0.07)


def test_the_places_depend_on_nothing_but_the_count_and_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    with_all = labelled_places(200)[0].lonlat
    monkeypatch.setattr(places, "available_maps", lambda: available_maps()[:3])
    labelled_places.cache_clear()
    assert np.array_equal(labelled_places(200)[0].lonlat, with_all)
    assert not np.array_equal(labelled_places(200, seed=1)[0].lonlat, with_all)
    labelled_places.cache_clear()


def test_a_region_has_places_of_its_own_no_nearer_than_their_labels_are_true() -> None:
    bering = Region.of([160, 55, -150, 72])  # Chukotka and Alaska, across the date line
    lonlat = labelled_places(300, region=bering)[0].lonlat
    assert len(lonlat) == 300
    assert bering.contains(torch.from_numpy(lonlat)).all()
    assert (lonlat[:, 0] > 0).any()
    assert (lonlat[:, 0] < 0).any()
    tile = labelled_places(10_000, region=Region.of([20, 5, 22, 7]))  # 222 x 221 kilometres
    assert 300 < len(tile[0].lonlat) < 500
    assert max(tile[0].cell_degrees) < 1  # held-out cells of its own size
    assert {task.name for task in tile} >= {"elevation", "land_cover"}
    assert "climate_zone" not in {task.name for task in tile}  # one zone alone tells nothing
    with pytest.raises(TooFewPlacesError, match=r"\d+ places with labels in 11\.3° E .* a probe needs 100"):
        labelled_places(10_000, region=Region.of([11.3, 48.0, 11.8, 48.3]))


def test_no_places_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one place, got 0"):
        labelled_places(0)
