"""A first look through a table: how many rows, and which are no places."""

from dataclasses import dataclass

import torch

from satclip.cli.progress import bar
from satclip.cli.tables.places import Places
from satclip.sphere import bad_lonlat

SHOWN = 10
_TYPING_ERRORS = 0.01  # fewer bad rows than this are slips, not a whole column in the wrong place
_METRES = 1000.0  # no degree comes near it; eastings and northings rarely stay below


@dataclass(frozen=True)
class Survey:
    """What a whole table holds.

    Attributes:
        rows: all of them.
        bad: those that are no (longitude, latitude).
        examples: number (the first row is 1), longitude and latitude of the first bad rows.
        swapped: every finite row would be a place if latitude came first, and more than a few are none as they are.
        projected: most rows hold numbers far beyond any degrees.
    """

    rows: int
    bad: int
    examples: tuple[tuple[int, float, float], ...]
    swapped: bool
    projected: bool

    @property
    def remedy(self) -> str:
        """What to do about the bad rows."""
        if self.swapped:
            return (
                "the columns look like latitude, longitude: longitude comes first, "
                "exchange --lon and --lat, or x and y of the points"
            )
        if self.projected:
            return "they look like metres of a projection, not degrees: say which with --crs, EPSG:3857 for instance"
        return (
            "longitude must lie in [-180, 360] and latitude in [-90, 90] degrees; "
            "--bad drop leaves such rows out, --bad nan keeps them with an embedding of NaN"
        )

    @property
    def complaint(self) -> str:
        """The first bad rows by number, and the remedy."""
        listed = "\n".join(f"  row {row}: ({lon:g}, {lat:g})" for row, lon, lat in self.examples)
        more = f"\n  and {self.bad - SHOWN} more" if self.bad > SHOWN else ""
        return (
            f"{self.bad} of {self.rows} rows are not (longitude, latitude); "
            f"the first, counting rows of data from 1:\n{listed}{more}\n{self.remedy}"
        )


def survey(places: Places) -> Survey:
    """Look at all coordinates once, so that a bad row at the end of a long file costs seconds and not hours."""
    rows = bad_rows = finite_bad = far = 0
    examples: list[tuple[int, float, float]] = []
    fits_swapped = True
    with bar("Looking through the coordinates") as progress:
        for piece in places.lonlat():
            lonlat = torch.from_numpy(piece)
            bad = bad_lonlat(lonlat)
            first = bad.nonzero().flatten()[: SHOWN - len(examples)].tolist()
            examples.extend((rows + number + 1, *lonlat[number].tolist()) for number in first)
            finite = lonlat[lonlat.isfinite().all(-1)]
            finite_bad += int(bad_lonlat(finite).sum())
            far += int((finite.abs() > _METRES).any(-1).sum())
            fits_swapped &= not bool(bad_lonlat(finite.flip(-1)).any())
            rows += len(lonlat)
            bad_rows += int(bad.sum())
            progress.advance(len(lonlat))
    swapped = fits_swapped and finite_bad > _TYPING_ERRORS * rows
    return Survey(rows, bad_rows, tuple(examples), swapped=swapped, projected=far > rows / 2)
