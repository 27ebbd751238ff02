"""Maps of the whole world as labels: places drawn evenly over the land, the same ones every time."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import labelled, readable
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.geography.land_grid import SOUTH
from satclip.sphere import uniform_on_sphere

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
DEFAULT_PLACES = 10_000
_DRAWS = 6  # the land with labels is a quarter of the Earth
_BLOCK = 1024  # drawn at a time, so that fewer places are the first of more


def packaged_map(task: str, find: Callable[[], Path]) -> Path:
    """The map inside an installed package.

    Raises:
        TaskDataMissing: the package is not installed.
    """
    try:
        return find()
    except ModuleNotFoundError as error:
        raise TaskDataMissing(task, str(error)) from error


def sampled(
    name: str,
    at: Callable[[Array], NDArray[np.float64] | NDArray[np.int64]],
    *,
    source: str,
    classes: tuple[str, ...] | None = None,
    unit: str = "",
    max_rows: int | None = DEFAULT_PLACES,
    seed: int = 0,
) -> Labels:
    """Labels at `max_rows` places drawn evenly over the land without Antarctica, where the map knows them.

    Args:
        name: of the task.
        at: degrees [N, 2] -> the label of each place, NaN or -1 where there is none.
        source: what the map is, for the log.
        classes: names of the classes.
        unit: of the target.
        max_rows: how many places.
        seed: of their draw.

    Raises:
        ValueError: `max_rows` is not positive, or the map cannot be read.
    """
    count = max_rows if isinstance(max_rows, int) else DEFAULT_PLACES  # what else it may be is refused below
    draw = torch.Generator().manual_seed(seed)
    blocks = [uniform_on_sphere(_BLOCK, draw) for _ in range(-(-_DRAWS * max(count, 1) // _BLOCK))]
    everywhere = torch.cat(blocks).numpy()
    drawn = everywhere[everywhere[:, 1] > SOUTH]
    with readable(source):
        values = at(drawn)
    known = np.flatnonzero(np.isfinite(values) if classes is None else np.asarray(values >= 0))[:count]
    return labelled(name, drawn[known], values[known], source=source, classes=classes, unit=unit, max_rows=max_rows)
