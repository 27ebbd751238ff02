"""Records to the tables that people read: scores, differences to honest rivals, labels saved."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from satclip.downstream.evaluate.efficiency import LabelRatio, label_ratio, learning_curve
from satclip.downstream.evaluate.intervals import Interval, difference_interval, score_interval
from satclip.downstream.evaluate.records import Record
from satclip.downstream.evaluate.scores import FLOOR

NOTHING = "nothing"
Key = tuple[str, str, str]  # task, hold-out, labels asked for


@dataclass(frozen=True)
class Scored:
    """One cell of the score table.

    Attributes:
        task, holdout, asked, family: which.
        seen: what the family's pretraining saw.
        metric: "R2" or "accuracy".
        interval: the score, R2 floored at -1 draw by draw.
        macro_f1: mean over draws, NaN for a regression.
        inner_score: mean over draws: what rivals are chosen by.
        edges: share of fits whose penalty was the smallest or largest offered.
        absent: classes that some draw tested and never taught.
    """

    task: str
    holdout: str
    asked: str
    family: str
    seen: str
    metric: str
    interval: Interval
    macro_f1: float
    inner_score: float
    edges: float
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Compared:
    """One family against another, paired draw by draw: positive where the first is better."""

    task: str
    holdout: str
    asked: str
    family: str
    rival: str
    interval: Interval


class Results:
    """Records by task, hold-out, label count and family.

    Raises:
        ValueError: when two records are of the same encoder, task and draw under different probes, or there are none.
    """

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = tuple(records)
        if not self.records:
            raise ValueError("no records; every task was skipped or left without draws, see the log")
        probes = {record.probe for record in self.records} - {"-"}
        if len(probes) > 1:
            raise ValueError(f"one table is of one probe, got {', '.join(sorted(probes))}; make one table each")
        self._by: dict[tuple[Key, str], list[Record]] = {}
        for record in self.records:
            key = (record.task, record.holdout, record.asked)
            self._by.setdefault((key, record.family), []).append(record)

    @property
    def keys(self) -> list[Key]:
        """Task, hold-out and label count, in the order in which they were run."""
        return list(dict.fromkeys(key for key, _ in self._by))

    @property
    def families(self) -> list[str]:
        """Rows, in the order in which they were run."""
        return list(dict.fromkeys(family for _, family in self._by))

    def of(self, key: Key, family: str) -> list[Record]:
        """Records of all draws and seeds; empty where the family was not run there."""
        return self._by.get((key, family), [])

    def scores(self) -> list[Scored]:
        """Every cell of the score table."""
        return [_scored(key, family, records) for (key, family), records in self._by.items()]

    def best_rival(self, key: Key, besides: str | None = None) -> str | None:
        """The family that has seen nothing and has the best INNER score; None where there is none.

        The test scores take no part, so the rival is one that a person could have chosen.
        """
        found = {}
        for family in self.families:
            records = self.of(key, family)
            if family == besides or not records or records[0].seen != NOTHING:
                continue
            inner = [record.choice.inner_score for record in records]
            if not np.isnan(inner).all():
                found[family] = float(np.nanmean(inner))
        return max(found, key=lambda family: found[family]) if found else None

    def against_best(self, family: str) -> list[Compared]:
        """The paired difference of a family to the best rival at every key where there is one."""
        return [
            Compared(*key, family, rival, difference_interval(self.of(key, family), self.of(key, rival)))
            for key in self.keys
            if self.of(key, family) and (rival := self.best_rival(key, besides=family)) is not None
        ]

    def against(self, family: str, rival: str) -> list[Compared]:
        """The paired difference of two families at every key where both were run."""
        return [
            Compared(*key, family, rival, difference_interval(self.of(key, family), self.of(key, rival)))
            for key in self.keys
            if self.of(key, family) and self.of(key, rival)
        ]

    def labels_needed(self, task: str, holdout: str, family: str, rival: str, asked: str = "100") -> LabelRatio | None:
        """Labels the rival needs for the score at `asked`, over those labels; None where either was not run."""
        mine = self.of((task, holdout, asked), family)
        theirs = [record for key in self.keys if key[:2] == (task, holdout) for record in self.of(key, rival)]
        if not mine or not theirs:
            return None
        (labels, score), *_ = learning_curve(mine, floor=FLOOR).items()
        return label_ratio(score, labels, learning_curve(theirs, floor=FLOOR))

    def ties(self, key: Key, besides: Collection[str] = ()) -> list[str]:
        """The family with the best score, and those whose paired difference to it is not clear of 0.

        Those named in `besides` take no part: a ceiling is no rival.
        """
        families = [family for family in self.families if family not in besides]
        scored = {family: _mean(self.of(key, family)) for family in families if self.of(key, family)}
        scored = {family: value for family, value in scored.items() if not np.isnan(value)}
        if not scored:
            return []
        best = max(scored, key=lambda family: scored[family])
        others = [
            family
            for family in scored
            if family != best and not difference_interval(self.of(key, best), self.of(key, family)).clear
        ]
        return [best, *others]


def _mean(records: Sequence[Record]) -> float:
    scores = np.concatenate([record.by_cell.score(floor=FLOOR) for record in records])
    return float(np.nanmean(scores)) if not np.isnan(scores).all() else np.nan


def _scored(key: Key, family: str, records: Sequence[Record]) -> Scored:
    first = records[0]
    f1 = [record.macro_f1 for record in records]
    inner = [record.choice.inner_score for record in records]
    return Scored(
        *key,
        family,
        first.seen,
        first.metric,
        score_interval(records),
        float(np.mean(f1)),
        float(np.nanmean(inner)) if not np.isnan(inner).all() else np.nan,
        float(np.mean([record.choice.edge for record in records])),
        tuple(sorted({name for record in records for name in record.absent})),
    )
