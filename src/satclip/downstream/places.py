"""The places that probes are trained and tested on, and what is known of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from satclip.downstream.labels import Task, available_tasks
from satclip.geography.land_grid import SOUTH
from satclip.sphere import uniform_on_sphere

_DRAWS = 6  # the land with labels is a quarter of the Earth


@dataclass(frozen=True)
class LabelledPlaces:
    """N places and their labels.

    Attributes:
        lonlat: degrees, float64 [N, 2].
        tasks: what is known of every place.
        labels: by the task's name, float64 [N] for a regression and int64 [N] for a classification.
    """

    lonlat: Tensor
    tasks: tuple[Task, ...]
    labels: Mapping[str, Tensor]


@lru_cache(maxsize=2)
def labelled_places(count: int = 10_000, seed: int = 0) -> LabelledPlaces:
    """`count` places drawn evenly over the land without Antarctica, the same ones every time.

    Every place has an elevation, a climate zone and a country. Whether land cover is installed changes none of them.

    Raises:
        ValueError: when `count` is not positive.
        ModuleNotFoundError: when the packages of the demo extra are missing.
    """
    if count < 1:
        raise ValueError(f"the probe needs at least one place, got {count}")
    everywhere = uniform_on_sphere(_DRAWS * count + 100, torch.Generator().manual_seed(seed)).numpy()
    drawn = everywhere[everywhere[:, 1] > SOUTH]
    tasks = available_tasks()
    labels = {task.name: task.labels(drawn) for task in tasks}
    known = np.logical_and.reduce([~np.isnan(column) & (column != -1) for column in labels.values()])
    kept = np.flatnonzero(known)[:count]
    return LabelledPlaces(
        torch.from_numpy(drawn[kept]),
        tasks,
        {name: torch.from_numpy(column[kept]) for name, column in labels.items()},
    )
