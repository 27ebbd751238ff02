"""A column to predict: a quantity, or classes, as its values tell; what is in doubt is refused or said."""

import logging
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from satclip.columns import candidates
from satclip.downstream.tasks.table import MISSING, codes, is_number, numbers

log = logging.getLogger(__name__)
Kind = Literal["regression", "classification"] | None
Numbers = NDArray[np.float64]
FEW = 20  # whole numbers with fewer values than this may be codes of classes
_CODE = re.compile(r"-?0[0-9]+|[0-9]{16,}")  # leading zeros, or more digits than a float64 holds: no quantity
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T].*)?|[0-9]{1,2}[./][0-9]{1,2}[./][0-9]{4}")


class Say(NamedTuple):
    """How a person says on this path what the column holds."""

    regression: str = "kind=regression"
    classes: str = "kind=classification"


def target_of(
    values: Sequence[str], *, what: str, kind: Kind = None, say: Say | None = None
) -> tuple[Numbers | NDArray[np.int64], tuple[str, ...] | None]:
    """A column of text as numbers, NaN where missing, and None; or as codes, -1 where missing, and their classes.

    Args:
        values: of the column.
        what: file and column, for messages.
        kind: what it holds; by default numbers where every value is one.
        say: how a person says the kind here, for messages; by default as an option of a task.

    Raises:
        ValueError: `kind` is none of the two; a value is no number where numbers are asked for or most are some; or
            nearly every value is another one, or a date, so that there are no classes.
    """
    if kind not in (None, "regression", "classification"):
        raise ValueError(f"kind must be regression or classification, got {kind!r}")
    say = say or Say()
    if (kind or _kind_of(values, what, say)) == "classification":
        found, classes = codes(values)
        _check_classes(found, classes, what, say, told=kind is not None)
        return found, classes
    target = numbers(values, what=what)
    finite = target[np.isfinite(target)]
    if kind is None:
        _warn_of_codes(finite, what, say)
    _warn_of_marks(finite, what)
    return target, None


def refuse_coordinate(target: str, names: Sequence[str], lon: str | None, lat: str | None, *, what: str) -> None:
    """Refuse to predict a place's own coordinate, which every encoder of places is told.

    Raises:
        ValueError: `target` is the column of longitudes or latitudes.
    """
    lons, lats, _ = candidates(names, lon, lat)
    if target in (*lons, *lats):
        raise ValueError(
            f"{what}: {target} is a coordinate of the places themselves; give another column as the target"
        )


def _kind_of(values: Sequence[str], what: str, say: Say) -> Kind:
    rows = [row for row, value in enumerate(values) if value.lower() not in MISSING]
    words = [row for row in rows if not is_number(values[row])]
    if not words:
        code = next((values[row] for row in rows if _CODE.fullmatch(values[row])), None)
        if code is None:
            return "regression"
        log.warning("%s holds codes such as %s and is taken as classes; %s takes numbers", what, code, say.regression)
        return "classification"
    if 2 * len(words) <= len(rows):
        raise ValueError(
            f"{what}: {len(rows) - len(words)} values are numbers and {len(words)} are none, the first in row "
            f"{words[0] + 1} of the data: {values[words[0]]!r}; mend or empty those, or say {say.classes}"
        )
    if all(_DATE.fullmatch(values[row]) for row in words):
        raise ValueError(
            f"{what} holds dates such as {values[words[0]]!r}; write them as numbers of days, or say {say.classes}"
        )
    return "classification"


def _check_classes(found: NDArray[np.int64], classes: tuple[str, ...], what: str, say: Say, *, told: bool) -> None:
    """Refuse what is no classes: most rows have a value of their own, or all, where it was `told` that they are."""
    members = np.bincount(found[found >= 0], minlength=len(classes))
    once, rows = int((members == 1).sum()), int(members.sum())
    if rows > 1 and (once == rows or (not told and 2 * once > rows)):
        others = (
            f"say {say.regression}" if told else f"write plain numbers, or say {say.classes} where they are classes"
        )
        remedy = others if once < rows or told else "write plain numbers"
        raise ValueError(
            f"{what}: {once} of {rows} rows hold a value that no other row has, such as {classes[members.argmin()]!r}: "
            f"no classes; give another column, or {remedy}"
        )
    missing = [name for name in classes if name.lower() in MISSING]
    if missing:
        log.warning("%s: taken as a class: %s; leave values that are missing empty", what, ", ".join(missing))
    plain: dict[str, str] = {}
    for name in classes:
        first = plain.setdefault(name.casefold(), name)
        if first != name:
            log.warning("%s: %s and %s are taken as two classes; write one of them if they are one", what, first, name)


def _warn_of_codes(finite: Numbers, what: str, say: Say) -> None:
    distinct = np.unique(finite)
    if 1 < len(distinct) < FEW and (distinct == np.round(distinct)).all():
        log.warning(
            "%s holds %d different whole numbers and is taken as a quantity; %s takes them as classes",
            *(what, len(distinct), say.classes),
        )


def _warn_of_marks(finite: Numbers, what: str) -> None:
    """Say of a number that stands alone far below or above all others, in several rows: -9999 is no temperature."""
    distinct, count = np.unique(finite, return_counts=True)
    if len(distinct) < 4:
        return
    for end, others in ((0, distinct[1:]), (-1, distinct[:-1])):
        value, gap = distinct[end], abs(distinct[end] - others[end])
        if count[end] > 1 and abs(value) >= 99 and gap > 5 * np.ptp(others):
            log.warning(
                "%s: %g stands in %d rows, far from all other values (%g to %g); if it marks missing ones, empty them",
                *(what, value, count[end], others.min(), others.max()),
            )
