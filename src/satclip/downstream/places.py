"""The places that probes are trained and tested on, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from satclip.downstream.labels import Task, available_tasks
from satclip.geography.land_grid import SOUTH
from satclip.region import Region
from satclip.sphere import uniform_on_sphere

FEWEST = 100  # places that a probe needs to say anything
_DRAWS = 6  # the land with labels is a quarter of the Earth
_LEAST_DRAWS = 60_000  # in a region, which may be mostly sea
_SPACING_KM = 10.0  # of places in a small region: nearer ones share their labels, which have cells of 5 to 10 km


@dataclass(frozen=True)
class LabelledPlaces:
    """N places and their labels.

    Attributes:
        lonlat: degrees, float64 [N, 2].
        tasks: what is known of every place.
        labels: by the task's name, float64 [N] for a regression and int64 [N] for a classification.
        where: where they lie, in words; empty where unknown.
    """

    lonlat: Tensor
    tasks: tuple[Task, ...]
    labels: Mapping[str, Tensor]
    where: str = ""


@lru_cache(maxsize=2)
def labelled_places(count: int = 10_000, seed: int = 0, region: Region | None = None) -> LabelledPlaces:
    """`count` places drawn evenly over the land without Antarctica, the same ones every time.

    Every place has an elevation, a climate zone and a country. Whether land cover is installed changes none of them.
    In a region they are fewer where it is small: its land may hold one place in ten kilometres by ten.

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
    tasks = available_tasks()
    labels = {task.name: task.labels(drawn) for task in tasks}
    known = np.logical_and.reduce([~np.isnan(column) & (column != -1) for column in labels.values()])
    kept = np.flatnonzero(known)[:count]
    if region is not None and len(kept) < FEWEST:
        raise TooFewPlacesError(
            f"{len(kept)} places with labels in {region}, a probe needs {FEWEST}; report.bounds=null probes the world"
        )
    labels = {name: column[kept] for name, column in labels.items()}
    telling = tuple(task for task in tasks if len(np.unique(labels[task.name])) > 1)  # a region may have one country
    return LabelledPlaces(
        torch.from_numpy(drawn[kept]),
        telling,
        {task.name: torch.from_numpy(labels[task.name]) for task in telling},
        "on land" if region is None else f"on land in {region}",
    )


class TooFewPlacesError(ValueError):
    """A region holds too few places with labels to probe anything."""
