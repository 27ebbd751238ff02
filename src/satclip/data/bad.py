"""The count of what could not be used: never a silent drop, and an end when it is too much."""

import logging
from collections import Counter
from collections.abc import Iterable

log = logging.getLogger(__name__)
NAMED = 10
Complaint = tuple[str, str, str]  # patch name, cause, detail


class BadPatches:
    """Counts bad patches by cause, names the first ten in the log, and stops where they are too many.

    Args:
        limit: the largest fraction that is borne.
        seen: how many patches this process reads in an epoch, of which `limit` is the fraction.
    """

    def __init__(self, limit: float, seen: int) -> None:
        self.limit, self.seen = limit, seen
        self.causes: dict[str, str] = {}
        self._details: dict[str, str] = {}

    def add(self, complaints: Iterable[Complaint]) -> None:
        """Take note of some more; a patch that comes again counts once.

        Raises:
            ValueError: more than `limit` of the patches are bad; lists them.
        """
        for name, cause, detail in complaints:
            if name in self.causes:
                continue
            self.causes[name], self._details[name] = cause, detail
            if len(self.causes) <= NAMED:
                log.warning("bad patch %s (%s): %s", name, cause, detail)
            elif len(self.causes) == NAMED + 1:
                log.warning("more than %d bad patches: from here on they are only counted", NAMED)
        if len(self.causes) > self.limit * self.seen:
            listed = "\n  ".join(f"{name} ({self.causes[name]}): {self._details[name]}" for name in self.causes)
            raise ValueError(
                f"{len(self.causes)} bad patches where an epoch reads {self.seen}, more than dataset.max_bad_fraction="
                f"{self.limit}:\n  {listed}\n"
                "remove or mend them (`python scripts/check_shards.py ROOT` lists all) or raise the limit"
            )

    def counts(self) -> dict[str, int]:
        """How many there are of each cause."""
        return dict(Counter(self.causes.values()))
