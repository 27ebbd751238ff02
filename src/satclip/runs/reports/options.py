"""Which options of some runs differ, and which runs differ by nothing but their seed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from satclip.runs.again import OF_ONE_START, key_of
from satclip.runs.reports.record import FINISHED, MISSING, Record

SEED = "seed"
NONE = "–"
OF_NO_EFFECT = ("output_dir", "hydra", "logger", *OF_ONE_START)  # where it lies, not what it is


@dataclass(frozen=True)
class Setting:
    """Runs of the same options, whatever their seed.

    Attributes:
        options: the value of each option that differs, without the seed.
        runs: those that have them.
    """

    options: tuple[str, ...]
    runs: tuple[Record, ...]

    def spread(self, name: str) -> tuple[float, float, int]:
        """Mean, standard deviation (NaN of one) and count of the finished runs that have the figure, and finite."""
        values = [each.figure(name) for each in self.runs if each.state == FINISHED]
        known = [value for value in values if value is not None and math.isfinite(value)]
        if not known:
            return math.nan, math.nan, 0
        return fmean(known), stdev(known) if len(known) > 1 else math.nan, len(known)


def differing(records: Sequence[Record]) -> list[str]:
    """The options that differ, those that were given on a command line first.

    What follows from the choice of a group is not named beside it (`pe_type.hidden_dim` beside `pe_type`), and of
    several that always change together the shortest name stands for all, unless each was given.
    """
    known = [each for each in records if each.state != MISSING] or list(records)
    missing = [each for each in records if each.state == MISSING]  # of them only what was given is known
    given = {key_of(each).lstrip("/") for record in records for each in record.overrides}
    names = dict.fromkeys([*sorted(given), *_sorted(known, "choices"), *_sorted(known, "config")])
    columns = {name: tuple(each.option(name) or NONE for each in known) for name in names if not _of_no_effect(name)}
    asked = {name: {each.config[name] for each in missing if name in each.config} for name in columns}
    columns = {name: values for name, values in columns.items() if len({*values, *asked[name]}) > 1}
    groups = [name for name in columns if any(name in each.choices for each in known)]
    kept: list[str] = []
    for name, values in columns.items():
        if name in given or not (
            any(values == columns[other] for other in kept)
            or any(_follows(values, columns[group]) for group in groups if group in kept)
        ):
            kept.append(name)
    return sorted(kept, key=lambda name: (name == SEED, kept.index(name)))


def settings(records: Iterable[Record], names: Sequence[str]) -> list[Setting]:
    """Runs that differ by nothing but their seed, together, in the order in which they come."""
    found: dict[tuple[str, ...], list[Record]] = {}
    for each in records:
        key = tuple(each.option(name) or NONE for name in names if name != SEED)
        found.setdefault(key, []).append(each)
    return [Setting(key, tuple(runs)) for key, runs in found.items()]


def number(text: str | None) -> float | None:
    """The number that an option is, or None."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def brief(text: str) -> str:
    """An option as a person reads it: of a number that was drawn, four digits."""
    value = number(text)
    return text if value is None or len(text) <= 8 else f"{value:.4g}"


def _follows(values: tuple[str, ...], group: tuple[str, ...]) -> bool:
    """Whether each option of a group has one value of the other option."""
    pairs: Mapping[str, str] = dict(zip(group, values, strict=True))
    return all(pairs[key] == value for key, value in zip(group, values, strict=True))


def _sorted(records: Sequence[Record], kind: str) -> list[str]:
    names = {name for each in records for name in getattr(each, kind)}
    return sorted(names, key=lambda name: (name.count("."), name))


def _of_no_effect(name: str) -> bool:
    return any(name == each or name.startswith(f"{each}.") for each in OF_NO_EFFECT)
