"""Which days are searched: between two dates, in chosen months or seasons, month by month."""

import calendar
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime

SEASONS = {"spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11), "winter": (12, 1, 2)}  # northern


@dataclass(frozen=True)
class Days:
    """Days from `first` to `last`, both included, in `months` (1 to 12) and `seasons`; where empty, in all of them.

    Seasons are those of the place: summer is June to August in the north, December to February in the south.
    """

    first: date
    last: date
    months: Collection[int] = ()
    seasons: Collection[str] = ()

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"--dates must be FIRST LAST, got {self.first} {self.last}")
        if wrong := [month for month in self.months if not 1 <= month <= 12]:
            raise ValueError(f"--months are 1 to 12, got {', '.join(map(str, wrong))}")
        if wrong_names := [name for name in self.seasons if name not in SEASONS]:
            raise ValueError(f"no season {', '.join(wrong_names)}; one of {', '.join(SEASONS)}")
        if not (self.spans(45.0) and self.spans(-45.0)):
            raise ValueError("no day of --dates lies in --months and --seasons; widen one of them")

    def spans(self, latitude: float) -> list[tuple[date, date]]:
        """First and last day of each month that is searched, at a latitude in degrees."""
        wanted = self._wanted(latitude)
        found = []
        year, month = self.first.year, self.first.month
        while (year, month) <= (self.last.year, self.last.month):
            if month in wanted:
                ends = date(year, month, calendar.monthrange(year, month)[1])
                found.append((max(self.first, date(year, month, 1)), min(self.last, ends)))
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        return found

    def takes(self, moment: datetime, latitude: float) -> bool:
        """Whether a scene of this moment is searched for."""
        day = moment.astimezone(UTC).date()
        return self.first <= day <= self.last and day.month in self._wanted(latitude)

    def _wanted(self, latitude: float) -> set[int]:
        turned = 0 if latitude >= 0 else 6
        local = {(month + turned - 1) % 12 + 1 for name in self.seasons for month in SEASONS[name]}
        return set(self.months or range(1, 13)) & (local or set(range(1, 13)))
