"""Counts bad patches: each kind is logged, none is dropped silently, and too many stop the run."""

import json
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch

from satclip import ranks

log = logging.getLogger(__name__)
NAMED = 10


class BadPatch(NamedTuple):
    """A patch that could not be used, and why."""

    name: str
    cause: str
    detail: str


class BadPatches:
    """Counts bad patches by cause, names the first ten in the log, and stops where they are too many.

    Every epoch deals the patches out anew, so in time each process meets all the bad ones: what they are measured
    against are the patches of all processes.

    Args:
        limit: the maximum tolerated fraction.
        total: how many patches there are, over all processes.
    """

    def __init__(self, limit: float, total: int) -> None:
        self.limit, self.total = limit, total
        self._found: dict[str, tuple[str, str]] = {}
        self._own: list[BadPatch] = []  # not yet sent to the other processes
        self._summed_up = 0

    def add(self, complaints: Iterable[BadPatch]) -> None:
        """Add bad patches; one that comes again counts once.

        Raises:
            ValueError: more than `limit` of the patches are bad; lists them.
        """
        for name, cause, detail in complaints:
            if name in self._found:
                continue
            self._found[name] = cause, detail
            self._own.append(BadPatch(name, cause, detail))
            if len(self._found) <= NAMED:
                log.warning("bad patch %s (%s): %s", name, cause, detail)
            elif len(self._found) == NAMED + 1:
                log.warning("more than %d bad patches: from here on they are only counted", NAMED)
        self._check()

    def share(self, device: torch.device) -> None:
        """Exchange the bad patches of all processes and log the sum; all call it at the same batch.

        Raises:
            ValueError: as `add`, in all of them.
        """
        if ranks.world_size() > 1:
            text = json.dumps(self._own) + "\n"
            letters = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8).to(device)
            for line in ranks.gather(letters).cpu().numpy().tobytes().splitlines():
                for name, cause, detail in json.loads(line):
                    self._found.setdefault(name, (cause, detail))
        self._own.clear()
        if len(self._found) > self._summed_up and ranks.rank() == 0:
            log.warning("%d of %d patches are bad: %s", len(self._found), self.total, in_words(self.counts()))
        self._summed_up = len(self._found)
        self._check()

    def counts(self) -> dict[str, int]:
        """How many there are of each cause."""
        return dict(Counter(cause for cause, _ in self._found.values()))

    def _check(self) -> None:
        if len(self._found) > self.limit * self.total:
            listed = "\n  ".join(f"{name} ({cause}): {detail}" for name, (cause, detail) in self._found.items())
            raise ValueError(
                f"{len(self._found)} bad patches of {self.total}, more than dataset.max_bad_fraction={self.limit}:\n"
                f"  {listed}\n"
                "remove or mend them (`python scripts/check_shards.py ROOT` lists all) or raise the limit"
            )


def in_words(counts: Mapping[str, int]) -> str:
    """Counts by cause: "5 bands, 9 empty"."""
    return ", ".join(f"{count} {cause}" for cause, count in counts.items())
