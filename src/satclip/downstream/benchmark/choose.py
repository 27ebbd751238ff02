"""From names to labelled places; what is not at hand is named, with the way to get it."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

import numpy as np

from satclip.downstream.benchmark.settings import FEWEST
from satclip.downstream.contract import Labels
from satclip.downstream.evaluate.holdouts import same_place
from satclip.downstream.evaluate.vectors import SMALLEST
from satclip.downstream.tasks import TASKS, Task, TaskDataMissing
from satclip.downstream.tasks.checkerboard import Checkerboard
from satclip.downstream.tasks.loading import DEFAULT_ROOT, Root

log = logging.getLogger(__name__)
CHECKERBOARD = "checkerboard"
RESOLUTIONS_KM = (500.0, 1000.0, 2000.0, 4000.0)
EVERY = "all"
ENOUGH = 100  # places, below which a score is mostly luck


@dataclass(frozen=True)
class Chosen:
    """What was found.

    Attributes:
        tasks: labelled places.
        missing: what is not, in a line each that ends with how to get it.
    """

    tasks: tuple[Labels, ...]
    missing: tuple[str, ...] = ()

    @classmethod
    def of(cls, tasks: Iterable[Labels], missing: Iterable[str] = ()) -> "Chosen":
        """Those of `tasks` that can be scored; the others are named among `missing`, with what they lack."""
        whys = [(task, _unfit(task)) for task in tasks]
        for task, why in whys:
            if not why and len(task.target) < ENOUGH:
                log.warning("%s: %d places with a label say little; read the intervals", task.name, len(task.target))
        told = (f"{task.name}: {why}" for task, why in whys if why)
        return cls(tuple(task for task, why in whys if not why), (*missing, *told))


def by_name(names: Sequence[str], root: Root = DEFAULT_ROOT, *, seed: int = 0) -> Chosen:
    """The tasks of these names.

    Args:
        names: of `TASKS`, "checkerboard:500" for one resolution, "checkerboard" for several, "all" for all but that.
        root: folder, or folders, with the files of tasks.
        seed: of the places that are sampled.

    Raises:
        ValueError: for a name that there is not.
    """
    every = [name for name in TASKS if name != CHECKERBOARD]
    asked = [each for name in names for each in (every if name == EVERY else [name])]
    tasks: list[tuple[str, Task]] = []
    for name in dict.fromkeys(asked):
        kind, _, rest = name.partition(":")
        if kind not in TASKS or (rest and kind != CHECKERBOARD):
            near = get_close_matches(kind, TASKS, 1)
            raise ValueError(
                f"there is no task {name}; "
                + (f"did you mean {near[0]}?" if near else f"there are {', '.join((*TASKS, EVERY))}")
            )
        if kind == CHECKERBOARD:
            tasks.extend((name, Checkerboard(km)) for km in _resolutions(name, rest))
        else:
            build: Callable[..., Task] = TASKS[name]
            tasks.append((name, build(root=root, seed=seed)))
    return load(tasks)


def load(tasks: Iterable[tuple[str, Task]]) -> Chosen:
    """Load tasks, each called by this name where it is missing; the others continue.

    Raises:
        ValueError: when a file is not as it should be.
    """
    found: list[Labels] = []
    missing: list[str] = []
    for name, task in tasks:
        try:
            labels = task.load()
        except TaskDataMissing as error:
            missing.append(str(error))
        except ModuleNotFoundError as error:
            missing.append(f"{name}: {error}")
        else:
            resolution = f"{CHECKERBOARD} {task.resolution_km:g} km" if isinstance(task, Checkerboard) else labels.name
            found.append(replace(labels, name=resolution))
    return Chosen.of(found, missing)


def _unfit(labels: Labels) -> str:
    """Why no score can come of a set, with what to do; nothing where one can."""
    places = len(np.unique(same_place(labels.lonlat)))
    if places < FEWEST:
        return f"{places} different places with a label are too few to teach and to test; give {FEWEST} at least"
    target = np.asarray(labels.target, dtype=np.float64)
    spread = np.ptp(target)
    if spread <= 1e-12 * np.abs(target).max():
        value = f"{target[0]:g}" if labels.classes is None else labels.classes[int(target[0])]
        return f"every place has the same value ({value}), so there is nothing to tell apart; give another column"
    if labels.classes is None and not SMALLEST < spread < 1 / SMALLEST:
        return f"values that span {spread:g} leave the range of numbers when they are squared; change the unit"
    return ""


def _resolutions(name: str, rest: str) -> tuple[float, ...]:
    if not rest:
        return RESOLUTIONS_KM
    try:
        return (float(rest),)
    except ValueError:
        raise ValueError(f"{name}: give the resolution in km, checkerboard:500") from None
