"""Every task on files of its official layout: the right columns, nothing swapped, nothing lost in silence."""

from pathlib import Path

import numpy as np
import pytest

from satclip.downstream.contract import Labels
from satclip.downstream.tasks import (
    TASKS,
    AirTemperature,
    Biome,
    CaliforniaHousing,
    Checkerboard,
    ClimateZone,
    Country,
    Ecoregion,
    Elevation,
    LandCover,
    MedianIncome,
    Population,
    Precipitation,
    Species,
    Task,
    TaskDataMissing,
)

PLACES = [[-76.0, -9.0], [13.4, 52.5], [179.5, -17.0]]


def named(labels: Labels) -> list[str]:
    """The classes of the places."""
    assert labels.classes is not None
    return [labels.classes[code] for code in labels.target]


@pytest.mark.parametrize(
    ("task", "expected", "unit"),
    [
        (AirTemperature, [11.5, 9.5, 25.0], "°C"),
        (Precipitation, [700, 570, 2500], "mm"),
        (Elevation, [3000, 34, 5], "m"),
        (Population, [2.5, 8.3, 3], "log(1 + people/km²)"),
    ],
)
def test_a_regression_has_its_column_at_its_places(
    root: Path, task: type[AirTemperature], expected: list[float], unit: str
) -> None:
    labels = task(root).load()
    assert labels.lonlat.tolist() == PLACES
    assert labels.target.tolist() == expected
    assert (labels.name, labels.unit, labels.classes) == (task.name, unit, None)


@pytest.mark.parametrize(
    ("task", "expected"),
    [(Country, ["604", "276", "242"]), (Ecoregion, ["700", "12", "31"]), (Biome, ["1", "4", "1"])],
)
def test_a_classification_leaves_the_ocean_out(root: Path, task: type[Country], expected: list[str]) -> None:
    labels = task(root).load()
    assert labels.lonlat.tolist() == PLACES
    assert named(labels) == expected
    assert labels.classes == tuple(sorted(set(expected)))


def test_the_other_layouts_of_the_same_tasks_are_read(stand_ins: Path) -> None:
    assert named(Country(stand_ins).load()) == ["Peru", "Germany", "Fiji"]
    assert named(Ecoregion(stand_ins).load()) == ["Ucayali", "Baltic", "Fiji"]
    assert named(Biome(stand_ins).load()) == ["Moist", "Mixed", "Moist"]
    assert Elevation(stand_ins).load().target.tolist() == [3000, 34, 5]
    assert Population(stand_ins).load().target.tolist() == np.log1p([0, 4000, 20]).tolist()
    assert MedianIncome(stand_ins).load().target.tolist() == [54487, 56460]
    species = Species(stand_ins).load()
    assert named(species) == ["7", "7", "90", "7"]
    assert species.fixed_split is not None
    assert species.fixed_split.tolist() == [False, False, False, True]


def test_counties_are_joined_by_their_code(root: Path) -> None:
    labels = MedianIncome(root).load()
    assert labels.lonlat.tolist() == [[-86.64644, 32.532237], [-87.746067, 30.659218]]
    assert labels.target.tolist() == [54487, 56460]
    assert MedianIncome(root, year=2015).load().target.tolist() == [56580, 52387, 57015]
    with pytest.raises(ValueError, match="no column MedianIncome2030; it has FIPS"):
        MedianIncome(root, year=2030).load()


def test_house_prices_are_in_100_000_dollars_and_held_out_in_small_cells(root: Path) -> None:
    labels = CaliforniaHousing(root).load()
    assert labels.target.tolist() == [4.526, 1.0, 5.00001]
    assert labels.lonlat[0].tolist() == [-122.23, 37.88]
    assert labels.cell_degrees == (0.25, 0.5, 1.0, 2.0)


def test_species_keep_the_most_photographed_and_the_split_that_comes_with_them(root: Path) -> None:
    labels = Species(root, most_classes=2).load()  # 7 twice; of 3 and 90, once each, the lower number
    assert labels.classes == ("3", "7")
    assert named(labels) == ["7", "7", "3", "7", "3"]
    assert labels.fixed_split is not None
    assert labels.fixed_split.tolist() == [False, False, False, True, True]
    np.testing.assert_allclose(labels.lonlat[0], PLACES[0], atol=1e-5)
    assert Species(root, most_classes=None).load().classes == ("3", "7", "90")  # 5000 was never trained on


def test_at_most_max_rows_are_kept_the_same_ones_every_time(root: Path) -> None:
    drawn = [Checkerboard(max_rows=500, seed=seed).load() for seed in (0, 0, 1)]
    assert np.array_equal(drawn[0].lonlat, drawn[1].lonlat)
    assert not np.array_equal(drawn[0].lonlat, drawn[2].lonlat)
    whole = Checkerboard().load()
    rows = [int(np.flatnonzero((whole.lonlat == place).all(1))[0]) for place in drawn[0].lonlat]
    assert rows == sorted(set(rows))
    assert len(rows) == 500
    assert np.array_equal(drawn[0].target, whole.target[rows])
    assert whole.fixed_split is not None
    assert np.array_equal(drawn[0].fixed_split, whole.fixed_split[rows])
    assert len(AirTemperature(root, max_rows=2).load().target) == 2
    with pytest.raises(ValueError, match="max_rows must be 1 or more"):
        AirTemperature(root, max_rows=0).load()


@pytest.mark.parametrize(
    "name",
    sorted(set(TASKS) - {"elevation", "country", "climate_zone", "land_cover", "checkerboard"}),
)
def test_labels_that_are_not_there_are_named_with_the_way_to_get_them(tmp_path: Path, name: str) -> None:
    with pytest.raises(TaskDataMissing) as missing:
        TASKS[name](root=tmp_path).load()
    assert missing.value.task == name
    assert str(missing.value).startswith(f"{name}: no labels here; ")
    assert "scripts/fetch_tasks.py" in missing.value.remedy or "under tasks.root" in missing.value.remedy


def test_several_folders_are_looked_through_and_a_file_may_lie_flat(root: Path, tmp_path: Path) -> None:
    flat = root / "air_temperature"
    assert len(AirTemperature([tmp_path / "nothing", flat]).load().target) == 3


def test_a_file_with_other_columns_is_refused_by_their_names(root: Path) -> None:
    (root / "air_temperature/stationDataAll.csv").write_text("lon,lat,t\n1,2,3\n")
    with pytest.raises(ValueError, match="has no column Lon, Lat, meanT; it has lon, lat, t"):
        AirTemperature(root).load()


@pytest.mark.parametrize(
    ("task", "unlike"),
    [(Elevation, None), (Country, None), (ClimateZone, None), (LandCover, "water")],
)
def test_what_packages_ship_is_sampled_on_land_in_a_fixed_order(task: type[LandCover], unlike: str | None) -> None:
    try:
        few, many = task(root=None, max_rows=50).load(), task(root=None, max_rows=200).load()
    except TaskDataMissing as missing:
        pytest.skip(f"NEEDS {missing}")
    assert len(many.target) == 200
    assert np.array_equal(few.lonlat, many.lonlat[:50])
    assert task is not Elevation or not np.array_equal(few.lonlat, Elevation(None, 50, seed=1).load().lonlat)
    assert (many.lonlat[:, 1] > -60).all()
    assert unlike is None or unlike not in (many.classes or ())


def test_places_on_land_carry_the_country_that_they_lie_in() -> None:
    try:
        labels = Country(root=None, max_rows=2000).load()
    except TaskDataMissing as missing:
        pytest.skip(f"NEEDS {missing}")
    brazil = labels.lonlat[np.array(named(labels)) == "Brazil"]
    assert len(brazil) > 50
    assert (brazil > [-75, -34]).all()
    assert (brazil < [-34, 6]).all()


@pytest.mark.parametrize(
    ("name", "count", "low", "high"),
    [
        ("air_temperature", 3076, -20, 31),
        ("precipitation", 3076, 0, 6000),
        ("elevation", 58465, -600, 7000),
        ("population", 49960, 0, 12),
        ("median_income", 3139, 20_000, 140_000),
        ("california_housing", 20640, 0.1, 5.1),
        ("country", 10000, 0, 176),
        ("climate_zone", 10000, 0, 30),
        ("land_cover", 10000, 0, 16),
    ],
)
def test_the_real_sets_have_their_sizes_and_sane_values(
    real_data: Path, name: str, count: int, low: float, high: float
) -> None:
    task: Task = TASKS[name](root=real_data)
    labels = task.load()
    assert len(labels.target) == count
    assert low <= labels.target.min() < labels.target.max() <= high
    if name == "air_temperature":  # the tropics are warm, and would not be with longitude and latitude exchanged
        tropics = np.abs(labels.lonlat[:, 1]) < 15
        assert labels.target[tropics].mean() > labels.target[~tropics].mean() + 8
