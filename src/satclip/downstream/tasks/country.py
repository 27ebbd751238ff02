"""The country that a place lies in."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import FromFiles, found, labelled, readable
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.sampled import sampled
from satclip.downstream.tasks.table import codes, columns, numbers
from satclip.geography.countries import countries, read_countries

FILES = ("country/lat_lon_country.csv", "country/country.csv")
SHAPES = "countries/naturalearth_lowres.shp"
OCEAN = ("0", "0.0")


@dataclass(frozen=True)
class Country(FromFiles):
    """The country, as a class.

    Origin: SatCLIP's Drive folder 1tI2qo6iioRrv3P1OxSXwHKObpLCrinad, `lat_lon_country.csv`, columns lat, lon, country,
    where 0 is the ocean and is left out: 33,053 places on land; RANGE's `country.csv` has the same columns. Without
    either: Natural Earth 1:110 million (public domain, naturalearthdata.com) as shipped in the PyPI package pyogrio, at
    `max_rows` places drawn evenly over the land (10,000 where that is None), 177 countries. The log says which it was.
    Cite Klemmer et al. 2023, arXiv 2311.17179, or Natural Earth.
    """

    name: ClassVar[str] = "country"

    def load(self) -> Labels:
        """The places on land.

        Raises:
            TaskDataMissing: no file is there and the packages of the demo extra are not installed.
            ValueError: a file has other columns.
        """
        path = found(self.root, *FILES)
        if path is None:
            return self._sampled()
        table = columns(path, ("lon", "lat", "country"))
        lon, lat = (numbers(table[name], what=f"{path}, {name}") for name in ("lon", "lat"))
        target, classes = codes(["" if value in OCEAN else value for value in table["country"]])
        lonlat = np.stack([lon, lat], 1)
        return labelled(
            self.name,
            lonlat,
            target,
            source=str(path),
            classes=classes,
            max_rows=self.max_rows,
            seed=self.seed,
        )

    def _sampled(self) -> Labels:
        shapes = found(self.root, SHAPES)
        try:
            with readable(shapes or "Natural Earth in pyogrio"):
                known = countries() if shapes is None else read_countries(shapes)
        except ModuleNotFoundError as error:
            raise TaskDataMissing(self.name, str(error)) from error
        return sampled(
            self.name,
            known.index,
            source="Natural Earth 1:110m",
            classes=known.names,
            max_rows=self.max_rows,
            seed=self.seed,
        )
