"""Curves of a benchmark: score by labels, by size of the hold-out, by distance, by resolution."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from satclip.downstream.benchmark.choose import CHECKERBOARD
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.evaluate.efficiency import score_by_distance
from satclip.downstream.evaluate.records import ALL
from satclip.downstream.evaluate.runner import DISTANCE_KM
from satclip.downstream.evaluate.scores import FLOOR
from satclip.downstream.evaluate.summary import Key

SUBJECTS = ("#c8553d", "#2e6fbf", "#8a4fa3", "#0f8b6d", "#d99a1c", "#7a4b2a")
RIVALS = ("#6b7580", "#98a2ab", "#4c5a66", "#b3a58c", "#8fae9f", "#a893ad")
LETTER = 0.06  # inches that one of the legend takes
MOST_TICKS = 4  # of a panel, side by side
DASHES = ("--", ":", "-.", (0, (5, 1)), (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)))


def learning(found: Benchmark, task: str) -> Figure | None:
    """Score by label count, one panel per hold-out; None where there is one count only."""
    by: dict[str, list[Key]] = {}
    for key in found.results.keys:
        if key[0] == task and not key[1].startswith("buffer"):
            by.setdefault(key[1], []).append(key)
    by = {holdout: keys for holdout, keys in by.items() if len(keys) > 1}
    if not by:
        return None
    figure, panels = _panels(len(by))
    for axes, (holdout, keys) in zip(panels, by.items(), strict=False):
        _lines(found, axes, keys, lambda key: _labels(found, key))
        _logarithmic(axes, sorted({_labels(found, key) for key in keys}))
        axes.set_title(holdout, fontsize=9)
        axes.set_xlabel("labels", fontsize=8)
    _finish(figure, panels, _metric(found, task))
    return figure


def sizes(found: Benchmark, task: str) -> Figure | None:
    """Score by the size of the held-out cells, at the most labels; None where there are fewer than two sizes."""
    asked = list(dict.fromkeys(key[2] for key in found.results.keys if key[0] == task))
    keys = [
        key
        for key in found.results.keys
        if key[0] == task and key[2] == asked[-1] and (key[1] == "random" or key[1].startswith("cells "))
    ]
    if len(keys) < 2:
        return None
    places = {key: index for index, key in enumerate(keys)}
    figure, panels = _panels(1)
    _lines(found, panels[0], keys, lambda key: places[key])
    panels[0].set_xticks(range(len(keys)), [key[1].replace("cells ", "") for key in keys])
    panels[0].set_xlabel("held out: random places,\nor cells of so many degrees", fontsize=8)
    panels[0].set_title(f"{asked[-1]} labels", fontsize=9)
    _finish(figure, panels, _metric(found, task))
    return figure


def distances(found: Benchmark, task: str) -> Figure | None:
    """Score by distance to the nearest label, in the last hold-out of cells (else the last) at the most labels."""
    keys = [key for key in found.results.keys if key[0] == task and "buffer" not in key[1]]
    cells = [key for key in keys if key[1].startswith("cells")]
    key = (cells or keys)[-1]
    figure, panels = _panels(1)
    ranges: list[float] = []
    for family, style in _styles(found).items():
        records = found.results.of(key, family)
        if not records:
            continue
        curve = score_by_distance(records, DISTANCE_KM)
        known = (curve.count >= 50) & np.isfinite(curve.score)
        km = np.where(np.isfinite(curve.upper_km), curve.upper_km, 3200)
        ranges.extend(km[known])
        panels[0].plot(km[known], np.maximum(curve.score[known], FLOOR), label=family, **style)
    ticks = sorted(set(ranges))
    if len(ticks) < 2:
        return None
    _logarithmic(panels[0], ticks)
    panels[0].set_xlabel("km to the nearest label, at most", fontsize=8)
    panels[0].set_title(f"{key[1]}, {key[2]} labels", fontsize=9)
    _finish(figure, panels, _metric(found, task))
    return figure


def resolution(found: Benchmark) -> Figure | None:
    """Accuracy on checkerboards by the width of their cells; None where fewer than two were run."""
    keys = [key for key in found.results.keys if key[0].startswith(CHECKERBOARD)]
    asked, holdout = (keys[-1][2], keys[0][1]) if keys else ("", "")
    keys = [key for key in keys if key[1] == holdout and key[2] == asked]
    if len(keys) < 2:
        return None
    figure, panels = _panels(1)
    _lines(found, panels[0], keys, lambda key: float(key[0].split()[1]))
    _logarithmic(panels[0], sorted(float(key[0].split()[1]) for key in keys))
    panels[0].axhline(1 / 16, color="#c6d0d8", linewidth=1, zorder=0)
    panels[0].set_xlabel("km between neighbouring cells; the pale line is chance", fontsize=8)
    panels[0].set_title(f"checkerboards, {holdout}, {asked} labels", fontsize=9)
    _finish(figure, panels, "accuracy")
    return figure


def _lines(found: Benchmark, axes: Axes, keys: Sequence[Key], at: Callable[[Key], float]) -> None:
    for family, style in _styles(found).items():
        points = sorted((at(key), found.scores[key, family].interval) for key in keys if (key, family) in found.scores)
        if not points:
            continue
        x = [place for place, _ in points]
        axes.plot(x, [interval.value for _, interval in points], label=family, **style)
        if family in found.subjects:
            low, high = ([getattr(interval, side) for _, interval in points] for side in ("low", "high"))
            axes.fill_between(x, low, high, color=style["color"], alpha=0.13, linewidth=0)


def _styles(found: Benchmark) -> dict[str, dict[str, Any]]:
    """How each family is drawn: subjects in colour and above, rivals grey and dashed."""
    styles: dict[str, dict[str, Any]] = {}
    rivals = [family for family in found.results.families if family not in found.subjects]
    for index, family in enumerate(found.subjects):
        colour = SUBJECTS[index % len(SUBJECTS)]
        styles[family] = {"color": colour, "linewidth": 2.0, "marker": "o", "markersize": 4, "zorder": 3}
    for index, family in enumerate(rivals):
        dash = DASHES[index % len(DASHES)]
        styles[family] = {
            "color": RIVALS[index % len(RIVALS)],
            "linewidth": 1.3,
            "linestyle": dash,
            "marker": "o",
            "markersize": 2.5,
        }
    return styles


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = min(count, 3)
    rows = -(-count // columns)
    figure = Figure((3.1 * columns + 1.9, 2.7 * rows + 0.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False, sharey=True)).ravel().tolist()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _finish(figure: Figure, panels: Sequence[Axes], metric: str) -> None:
    for axes in panels:
        axes.tick_params(labelsize=8)
        axes.grid(color="#e3e8ec", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(metric, fontsize=8)
    handles, labels = panels[0].get_legend_handles_labels()
    # The legend stands outside: a long name takes its width from the paper, not from the panels.
    longest = max((len(label) for label in labels), default=0)
    figure.set_figwidth(figure.get_figwidth() + max(0.0, LETTER * longest - 1.2))
    figure.legend(handles, labels, loc="outside right upper", fontsize=7.5, frameon=False)


def _logarithmic(axes: Axes, ticks: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    if len(ticks) > MOST_TICKS:  # they would run into each other
        axes.tick_params(axis="x", labelrotation=45)
    axes.minorticks_off()


def _labels(found: Benchmark, key: Key) -> float:
    if key[2] != ALL:
        return float(key[2])
    records = next(found.results.of(key, family) for family in found.results.families if found.results.of(key, family))
    return float(np.mean([record.labels for record in records]).round())


def _metric(found: Benchmark, task: str) -> str:
    return next(record.metric for record in found.results.records if record.task == task)
