"""What was answered where, over all draws of a hold-out: for maps, and for what clusters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.contract import Array, Labels
from satclip.downstream.evaluate.records import Record
from satclip.downstream.evaluate.summary import Key


@dataclass(frozen=True)
class Answered:
    """Places that were tested, each with what was answered: the mean over draws, or the commonest class.

    Attributes:
        lonlat: degrees [M, 2].
        truth: numbers or codes [M].
        answer: the same [M].
    """

    lonlat: Array
    truth: NDArray[np.float64] | NDArray[np.int64]
    answer: NDArray[np.float64] | NDArray[np.int64]


def answered(labels: Labels, records: Sequence[Record]) -> Answered | None:
    """What an encoder answered on a task, over those records that keep it; None where none does."""
    kept = [record.predictions for record in records if record.predictions is not None]
    if not kept:
        return None
    rows = np.concatenate([each.rows for each in kept])
    answers = np.concatenate([each.answer for each in kept])
    where, inverse = np.unique(rows, return_inverse=True)
    if labels.classes is None:
        mean: Array = np.bincount(inverse, answers) / np.bincount(inverse)
        return Answered(labels.lonlat[where], labels.target[where], mean)
    votes = np.zeros((len(where), len(labels.classes)))
    np.add.at(votes, (inverse, answers.astype(np.int64)), 1)
    return Answered(labels.lonlat[where], labels.target[where], votes.argmax(1))


def mapped_key(found: Benchmark, task: str) -> Key:
    """The hold-out of cells (the middle one) where there is one, else the first; under the most labels."""
    holdouts = list(dict.fromkeys(key[1] for key in found.results.keys if key[0] == task and "buffer" not in key[1]))
    holdouts = holdouts or [key[1] for key in found.results.keys if key[0] == task]
    cells = [each for each in holdouts if each.startswith("cells")] or holdouts
    chosen = cells[min(1, len(cells) - 1)]
    asked = [key[2] for key in found.results.keys if key[:2] == (task, chosen)][-1]
    return task, chosen, asked
