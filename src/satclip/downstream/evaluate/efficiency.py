"""What a score is worth in labels, and how it falls with distance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from satclip.downstream.contract import Array
from satclip.downstream.evaluate.records import Record


@dataclass(frozen=True)
class LabelRatio:
    """Labels a rival needs for a score, over the labels it was reached with.

    Attributes:
        ratio: 3 means that the rival needs three times as many.
        bound: "=" where the rival's curve crosses the score; ">" where it does not reach it with all of its labels, and
            "<" where its fewest labels already do.
    """

    ratio: float
    bound: str


def label_ratio(score: float, labels: float, rival: Mapping[int, float]) -> LabelRatio:
    """Read the rival's learning curve, made monotone by its running maximum, straight in the logarithm of the labels.

    Args:
        score: to be reached.
        labels: it was reached with.
        rival: score by label count.

    Raises:
        ValueError: when the rival has no score.
    """
    counts = np.array(sorted(count for count, value in rival.items() if not np.isnan(value)), dtype=np.float64)
    if not len(counts):
        raise ValueError("the rival has no score at any label count; run it on the same task")
    curve = np.maximum.accumulate([rival[int(count)] for count in counts])
    if score > curve[-1]:
        return LabelRatio(float(counts[-1] / labels), ">")
    at = int(np.searchsorted(curve, score))  # the first that reaches it
    if at == 0:
        return LabelRatio(float(counts[0] / labels), "=" if score == curve[0] else "<")
    share = (score - curve[at - 1]) / (curve[at] - curve[at - 1])
    needed = np.exp(np.log(counts[at - 1]) + share * np.log(counts[at] / counts[at - 1]))
    return LabelRatio(float(needed / labels), "=")


def learning_curve(records: Sequence[Record], *, floor: float | None) -> dict[int, float]:
    """Mean score by label count of one family under one hold-out; "all" stands at its mean count of labels."""
    found = {}
    for asked in {record.asked for record in records}:
        some = [record for record in records if record.asked == asked]
        scores = np.concatenate([record.by_cell.score(floor=floor) for record in some])
        if not np.isnan(scores).all():
            found[round(float(np.mean([record.labels for record in some])))] = float(np.nanmean(scores))
    return dict(sorted(found.items()))


@dataclass(frozen=True)
class DistanceScore:
    """Score by distance to the nearest label.

    Attributes:
        upper_km: of each bin, [D]; the last is infinite.
        score: accuracy in each bin, or one minus the mean squared error over the variance of ALL tested places, so that
            bins can be compared; NaN where no place lies.
        count: tested places in each bin.
    """

    upper_km: Array
    score: Array
    count: Array


def score_by_distance(records: Sequence[Record], edges_km: Array) -> DistanceScore:
    """Of one family, hold-out and label count, all draws and seeds together.

    Raises:
        ValueError: without records.
    """
    if not records:
        raise ValueError("no records to read distances from; run the encoder on the task")
    sums = np.zeros((len(edges_km) + 1, 2))
    spread = count = 0.0
    for record in records:
        np.add.at(sums, record.by_distance.groups, record.by_distance.sums[:, :2])
        _, tested, linear, square = record.by_distance.sums.sum(0)
        spread, count = spread + square - linear**2 / tested, count + tested
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = sums[:, 0] / sums[:, 1]
        score = 1 - mean / (spread / count) if records[0].by_distance.regression else mean
    return DistanceScore(np.append(edges_km, np.inf), score, sums[:, 1])
