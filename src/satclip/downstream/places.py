"""The same places with all that the installed maps know of them: what the report at the end of a training predicts."""

from functools import lru_cache

import numpy as np
import torch

from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import cells_for
from satclip.downstream.labels import available_maps
from satclip.geography.land_grid import SOUTH
from satclip.region import Region
from satclip.sphere import uniform_on_sphere

FEWEST = 100  # places that a probe needs to say anything
_DRAWS = 6  # the land with labels is a quarter of the Earth
_LEAST_DRAWS = 60_000  # in a region, which may be mostly sea
_SPACING_KM = 10.0  # of places in a small region: nearer ones share their labels, which have cells of 5 to 10 km


@lru_cache(maxsize=2)
def labelled_places(count: int = 3000, seed: int = 0, region: Region | None = None) -> tuple[Labels, ...]:
    """`count` places drawn evenly over the land without Antarctica, the same ones every time, and a set for each map.

    Every place has an elevation, a climate zone and a country, and all sets are of the same places, so that a benchmark
    decomposes once for all of them. In a region they are fewer where it is small: its land may hold one place in ten
    kilometres by ten; and a fact that is the same everywhere in it is left out.

    Raises:
        ValueError: when `count` is not positive, or the region has no more than a few places with labels.
        ModuleNotFoundError: when the packages of the demo extra are missing.
    """
    if count < 1:
        raise ValueError(f"the probe needs at least one place, got {count}")
    generator = torch.Generator().manual_seed(seed)
    if region is None:
        everywhere = uniform_on_sphere(_DRAWS * count + 100, generator).numpy()
    else:
        room = int(region.square_kilometres / _SPACING_KM**2)
        everywhere = region.draw(min(room, max(_DRAWS * count, _LEAST_DRAWS)), generator).numpy()
    drawn = everywhere[everywhere[:, 1] > SOUTH]
    maps = available_maps()
    values = [each.at(drawn) for each in maps]
    known = np.logical_and.reduce([~np.isnan(column) & (column != -1) for column in values])
    kept = np.flatnonzero(known)[:count]
    if region is not None and len(kept) < FEWEST:
        raise TooFewPlacesError(
            f"{len(kept)} places with labels in {region}, a probe needs {FEWEST}; report.bounds=null probes the world"
        )
    lonlat = drawn[kept]
    cells = cells_for(lonlat)
    return tuple(
        Labels(each.name, lonlat, column[kept], each.classes, each.unit, cells)
        for each, column in zip(maps, values, strict=True)
        if len(np.unique(column[kept])) > 1  # a region may have one country
    )


class TooFewPlacesError(ValueError):
    """A region holds too few places with labels to probe anything."""
