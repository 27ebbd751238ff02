"""What a person asks of a benchmark, in words, and the plan that it makes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from satclip.downstream.evaluate.mlp_probe import MlpProbe
from satclip.downstream.evaluate.neighbours_probe import NeighboursProbe
from satclip.downstream.evaluate.plan import HOLDOUTS, Plan, Probe
from satclip.downstream.evaluate.range_probe import RangeProbe
from satclip.downstream.evaluate.ridge_probe import RidgeProbe

COORDBENCH = "coordbench"
PROBES: dict[str, Callable[[], Probe]] = {
    "ridge": RidgeProbe,
    "knn": NeighboursProbe,
    "mlp": MlpProbe,
    "range": RangeProbe,
}
ALL = "all"
MANY = 1000
FEWEST = 10  # places: two to be tested in each of five folds


@dataclass(frozen=True)
class Settings:
    """A protocol in words; the defaults answer in about a minute.

    Attributes:
        holdouts: "random", "cells" (the middle size of the set, 10 degrees for a global one), "cells:all", "cells:20",
            "continents", "buffers", "fixed".
        labels: label counts, "all" among them.
        draws: per hold-out.
        probe: ridge, knn, mlp, range or coordbench.
        places: of a larger set so many are drawn; None takes all.
        seed: of every draw.
        workers: draws that are worked on at the same time.

    Raises:
        ValueError: for a word that means nothing here.
    """

    holdouts: tuple[str, ...] = ("random", "cells")
    labels: tuple[int | str, ...] = (100, 300)
    draws: int = 5
    probe: str = "ridge"
    places: int | None = 3000
    seed: int = 0
    workers: int = 2

    def __post_init__(self) -> None:
        if self.probe not in (*PROBES, COORDBENCH):
            raise ValueError(f"no such probe: {self.probe}; there are {', '.join((*PROBES, COORDBENCH))}")
        for name in ("draws", "seed", "workers", "places"):
            value = getattr(self, name)
            if not (isinstance(value, int) or (name == "places" and value is None)) or isinstance(value, bool):
                raise ValueError(f"{name} must be a whole number, got {value!r}; give one")
        if self.seed < 0 or (self.places is not None and self.places < FEWEST):
            raise ValueError(f"seed must be 0 or more and places {FEWEST} or more, got {self.seed} and {self.places}")
        self.plan()

    @property
    def few(self) -> bool:
        """Whether no more than a thousand labels are asked for: harmonics up to L = 20 are then enough."""
        return all(str(count) != ALL and int(count) <= MANY for count in self.labels)

    def plan(self) -> Plan:
        """The same as the numerical core takes it."""
        kinds, cells = _holdouts(self.holdouts)
        probe = PROBES.get(self.probe, RidgeProbe)()
        counts = tuple(sorted(map(_count, self.labels), key=lambda n: (n is None, n or 0)))
        return Plan(
            labels=tuple(dict.fromkeys(counts)),
            holdouts=kinds,
            cells=cells,
            draws=self.draws,
            probe=probe,
            places=self.places,
            seed=self.seed,
            workers=self.workers,
        )


def words(text: str | Sequence[str | int | float]) -> tuple[str, ...]:
    """`random, cells:10` or a list as the words in it."""
    parts = text.split(",") if isinstance(text, str) else [str(each) for each in text]
    return tuple(part.strip() for part in parts if part.strip())


def _count(word: int | str) -> int | None:
    if str(word) == ALL:
        return None
    if not str(word).isdigit():
        raise ValueError(f"label counts are whole numbers or {ALL}, got {word!r}")
    return int(word)


def _holdouts(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[float, ...] | Literal["all", "middle"]]:
    kinds: list[str] = []
    sizes: list[float] = []
    every: Literal["all", "middle"] | None = None
    for name in names:
        kind, colon, size = name.partition(":")
        if kind not in HOLDOUTS or (colon and kind != "cells"):
            raise ValueError(
                f"no hold-out is called {name}: random, cells, cells:all, cells:DEGREES, continents, buffers, fixed are"
            )
        kinds.append(kind)
        if kind == "cells" and size in ("", ALL):
            every = "all" if size == ALL or every == "all" else "middle"
        elif kind == "cells":
            sizes.append(_degrees(name, size))
    if sizes and every:
        raise ValueError("give sizes of cells (cells:10,cells:20), or cells, or cells:all, not several of these")
    if not kinds:
        raise ValueError("give a hold-out at least: random,cells")
    return tuple(dict.fromkeys(kinds)), tuple(sizes) or every or "middle"


def _degrees(name: str, size: str) -> float:
    try:
        return float(size)
    except ValueError:
        raise ValueError(f"{name}: cells take degrees, cells:10") from None


QUICK = Settings()
FULL = Settings(
    holdouts=("random", "cells:all", "continents", "buffers", "fixed"),
    labels=(30, 100, 300, 1000, 3000, ALL),
    draws=10,
    places=10_000,
)
