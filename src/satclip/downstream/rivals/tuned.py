"""Encoders of which the inner folds choose one, and encoders side by side."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from satclip.downstream.contract import Places
from satclip.downstream.rivals.frozen import BLOCKS_OUT, GLOBE, NOTHING, UNKNOWN, Array, Vectors


@dataclass(frozen=True)
class Tuned:
    """Candidates that differ in one choice (an L, a bandwidth); the benchmark takes the best by inner score.

    Attributes:
        name: the row's name in every table.
        candidates: encoders, at least one.

    Raises:
        ValueError: there are no candidates.
    """

    name: str
    candidates: tuple[Places, ...]

    def __post_init__(self) -> None:
        if not self.candidates:
            raise ValueError(f"{self.name}: no candidates to choose from; give one at least")

    @property
    def seen(self) -> str:
        """What the candidates have seen together."""
        return seen_together([each.seen for each in self.candidates])


def tuned(candidates: Sequence[Places], name: str | None = None) -> Tuned:
    """A group of candidates; by default named after them."""
    return Tuned(name or f"tuned: {' | '.join(each.name for each in candidates)}", tuple(candidates))


class Joined:
    """Vectors of several encoders side by side, [N, D1 + D2 + ...], each as it comes.

    They are not brought to one scale here: the probe's scaling by column does that.

    Raises:
        ValueError: fewer than two encoders are given.
    """

    def __init__(self, parts: Sequence[Places], name: str | None = None) -> None:
        if len(parts) < 2:
            raise ValueError("a concatenation needs two encoders or more, such as geoclip+harmonics:10")
        self.parts = tuple(parts)
        self.name = name or "+".join(part.name for part in parts)
        self.seen = seen_together([part.seen for part in parts])
        prints = [getattr(part, "fingerprint", None) for part in parts]
        if None not in prints:  # otherwise nothing says when the vectors change, and they must not be kept
            self.fingerprint = hashlib.sha256("+".join(map(str, prints)).encode()).hexdigest()

    def __call__(self, lonlat: Array) -> Vectors:
        """[N, 2] degrees -> [N, D1 + D2 + ...]."""
        return np.concatenate([np.asarray(part(lonlat)) for part in self.parts], axis=1)


def seen_together(parts: Sequence[str]) -> str:
    """What encoders have seen as one: the most that any of them has; what is unknown may be all of it."""
    for most in (GLOBE, UNKNOWN, BLOCKS_OUT):
        if most in parts:
            return most
    return NOTHING if set(parts) == {NOTHING} else UNKNOWN
