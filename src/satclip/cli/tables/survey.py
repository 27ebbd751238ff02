"""A first pass over a table: how many rows, and which have invalid coordinates."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
import numpy as np
import pyarrow as pa
import torch

from satclip.cli.progress import bar
from satclip.cli.tables.places import Degrees, Places
from satclip.sphere import RADIANS, bad_lonlat, in_radians

SHOWN = 10
_TYPING_ERRORS = 0.01  # fewer bad rows than this are slips, not a whole column in the wrong place
_METRES = (
    1e3,
    1e8,
)  # no degree comes near the one; eastings and northings rarely stay below, and never exceed the other
_LONGEST = 40  # letters of a value that are shown
_LIMITS = ((-180, 360), (-90, 90))


@dataclass(frozen=True)
class BadRow:
    """A row with invalid coordinates: its number (from 1), longitude and latitude as read, and what is wrong."""

    row: int
    lon: float
    lat: float
    fault: str


@dataclass(frozen=True)
class Survey:
    """What a whole table holds.

    Attributes:
        rows: all of them.
        bad: those that are no (longitude, latitude).
        examples: the first bad rows.
        swapped: every finite row would be a place if latitude came first, more than a few are none as they are, and
            no names of columns say that longitude is what it is taken for.
        projected: most rows hold numbers far beyond any degrees.
        reference: who says in which reference system they are.
    """

    rows: int
    bad: int
    examples: tuple[BadRow, ...]
    swapped: bool
    projected: bool
    reference: str | None

    @property
    def remedy(self) -> str:
        """What to do about the bad rows."""
        if self.swapped:
            return (
                "the columns look like latitude, longitude: longitude comes first, "
                "exchange --lon and --lat, or x and y of the points"
            )
        if self.projected:
            if self.reference:
                return (
                    f"they look like metres of a projection, not degrees, but {self.reference}: find out which is right"
                )
            return "they look like metres of a projection, not degrees: say which with --crs (ask who made the file)"
        return (
            "longitude must lie in [-180, 360] and latitude in [-90, 90], in decimal degrees with a point and a sign; "
            "--bad drop leaves such rows out, --bad nan keeps them with an embedding of NaN"
        )

    @property
    def complaint(self) -> str:
        """The first bad rows by number, and the remedy."""
        listed = "\n".join(f"  row {bad.row}: ({bad.lon:g}, {bad.lat:g}): {bad.fault}" for bad in self.examples)
        more = f"\n  and {self.bad - SHOWN} more" if self.bad > SHOWN else ""
        return (
            f"{self.bad} of {self.rows} rows are not (longitude, latitude); "
            f"the first, counting rows of data from 1:\n{listed}{more}\n{self.remedy}"
        )


def survey(places: Places) -> Survey:
    """Look at all coordinates once, so that a bad row at the end of a long file costs seconds and not hours.

    Raises:
        click.ClickException: other rows are read than the file says it holds.
    """
    rows = bad_rows = finite_bad = far = 0
    examples: list[BadRow] = []
    fits_swapped, around = True, torch.empty(0, 2, dtype=torch.float64)
    with bar("Looking through the coordinates") as progress:
        for piece, written in places.lonlat():
            lonlat = torch.from_numpy(piece)
            bad = bad_lonlat(lonlat)
            first = bad.nonzero().flatten()[: SHOWN - len(examples)].tolist()
            examples.extend(_examples(rows, first, piece, written, transformed=places.reference is not None))
            finite = lonlat[lonlat.isfinite().all(-1)]
            finite_bad += int(bad_lonlat(finite).sum())
            largest = finite.abs().amax(-1)
            far += int(((largest > _METRES[0]) & (largest < _METRES[1])).sum())
            fits_swapped &= not bool(bad_lonlat(finite.flip(-1)).any())
            around = torch.cat((around, finite))
            around = (
                torch.cat((around[around.argmin(0)], around[around.argmax(0)], around[:5])) if len(around) else around
            )
            rows += len(lonlat)
            bad_rows += int(bad.sum())
            progress.advance(len(lonlat))
    if places.rows not in (rows, -1):  # GDAL's word for not knowing
        raise click.ClickException(
            f"{rows} rows were read of {places.rows} that the file says it holds: write it again"
        )
    if rows - bad_rows >= 5 and in_radians(around):
        click.echo(f"Warning: {RADIANS}", err=True)
    swapped = not places.told and fits_swapped and finite_bad > _TYPING_ERRORS * rows
    return Survey(
        rows, bad_rows, tuple(examples), swapped=swapped, projected=far > rows / 2, reference=places.reference
    )


def _examples(
    before: int, numbers: list[int], lonlat: Degrees, written: pa.RecordBatch, *, transformed: bool
) -> Iterator[BadRow]:
    for number in numbers:
        lon, lat = lonlat[number].tolist()
        row = {name: written.column(name)[number].as_py() for name in written.schema.names}
        yield BadRow(before + number + 1, lon, lat, _fault((lon, lat), row, transformed=transformed))


def _fault(degrees: tuple[float, float], written: dict[str, Any], *, transformed: bool) -> str:
    """What is wrong with a row, in the words of the file where it has any."""
    if len(written) == 1:  # points
        written = dict(zip(("x", "y"), degrees, strict=True))
        if np.isnan(degrees).any():
            return "no point, or one outside the area of its reference system"
    faults = []
    for (name, value), degree, (low, high) in zip(written.items(), degrees, _LIMITS, strict=True):
        if value is None or not str(value).strip():
            faults.append(f"{name} is empty")
        elif np.isnan(degree) and not (transformed and _is_number(value)):
            comma = " (write a point, or separate the columns otherwise)" if "," in str(value) else ""
            faults.append(f"{name} {_shown(value)!r} is no decimal number{comma}")
        elif not low <= degree <= high and not np.isnan(degree):
            faults.append(f"{name} {_shown(value)} is not in [{low}, {high}]")
    return ", ".join(faults) or "outside the area of the reference system"


def _is_number(value: Any) -> bool:
    """Whether `value` is read as one, decimal comma or not."""
    try:
        return not np.isnan(float(str(value).replace(",", ".").replace("\u2212", "-")))
    except ValueError:
        return False


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
