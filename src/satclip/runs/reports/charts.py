"""Pictures of a comparison, for a paper: scores against the option that is a number, importance, learning curves."""

import math
import re
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from satclip.runs.reports.compare import SHORT, Comparison, columns
from satclip.runs.reports.importance import importance
from satclip.runs.reports.options import Setting, brief, number
from satclip.runs.reports.record import FINISHED
from satclip.runs.reports.scoring import GAIN, PROBES, better

COLOURS = ("#2e6fbf", "#c8553d", "#0b7350", "#8a5fb0", "#b58a1b", "#55616c", "#3aa6a0", "#d47ba6")
MOST_BARS, MOST_LINES, MOST_PANELS, MOST_TICKS = 24, 40, 32, 8
WIDE = 4  # panels in a row: two hold-outs of two numbers of labels
FACTOR = 5.0  # between the ends of an axis, from which on it is logarithmic
GREY = "#6b7580"
DEGREES = ("legendre_polys", "le_type.legendre_polys")


def overview(found: Comparison) -> Figure | None:
    """The headline figures, a bar a setting, the best at the top; None where no run has a figure."""
    names = [name for name in columns(found) if any(each.spread(name)[2] for each in found.settings)]
    best = [each for each in found.settings if any(each.spread(name)[2] for name in names)][:MOST_BARS]
    if not names or not best:
        return None
    figure = Figure((2.2 + 2.3 * len(names), 1.1 + 0.28 * len(best)), dpi=150, layout="constrained")
    labels = [_label(found, each) for each in best]
    for axes, name in zip(figure.subplots(1, len(names), sharey=True, squeeze=False)[0], names, strict=True):
        spreads = [each.spread(name) for each in best]
        rows = range(len(best))
        axes.errorbar([each[0] for each in spreads], rows, xerr=_bars([each[1] for each in spreads]),
                      fmt="o", color=COLOURS[0], ms=4, lw=1.2, capsize=2)  # fmt: skip
        axes.set_yticks(rows, [_plain(each[:48]) for each in labels])
        axes.set_ylim(len(best) - 0.5, -0.5)
        axes.set_title(
            f"{SHORT.get(name, name)} ({'lower' if better(name) < 0 else 'higher'} is better)", fontsize=7, color=GREY
        )
        _calm(axes)
    return figure


def against_number(found: Comparison) -> Figure | None:
    """Scores against L, or the first option that is a number: a panel a figure, a line a setting of the others.

    Points are means over seeds, bars their standard deviation, dashed the same network untrained. A row is a task. None
    where no number differs.
    """
    axis, other = axes_of(found)
    names = _panels(found)
    if axis is None or not names:
        return None
    lines = _lines(found, axis, other)
    wide = min(WIDE, len(names))
    figure = Figure((3.1 * wide, 2.3 * math.ceil(len(names) / wide) + 0.4), dpi=150, layout="constrained")
    panels = figure.subplots(math.ceil(len(names) / wide), wide, squeeze=False).ravel()
    at = sorted({x for points in lines.values() for x, _ in points})
    for axes, name in zip(panels, names, strict=False):
        if name is None:
            axes.set_axis_off()
            continue
        for colour, (label, points) in enumerate(lines.items()):
            drawn = [(x, *each.spread(name)) for x, each in points if each.spread(name)[2]]
            if drawn:
                errors, hue = _bars([each[2] for each in drawn]), COLOURS[colour % len(COLOURS)]
                axes.errorbar([each[0] for each in drawn], [each[1] for each in drawn], yerr=errors, marker="o", ms=3,
                              lw=1.2, capsize=2, color=hue, label=_plain(label[:60]))  # fmt: skip
            bare = [(x, y) for x, each in points if (y := _untrained(each, name)) is not None]
            axes.plot([x for x, _ in bare], [y for _, y in bare], color=COLOURS[colour % len(COLOURS)], lw=0.8, ls="--")
        axes.set_title(_plain(_panel_title(name)), fontsize=7, color=GREY)
        axes.set_xlabel("L" if axis in DEGREES else _plain(axis), fontsize=7)
        _ticks(axes, at)
        _calm(axes)
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    handles = {text: handle for axes in panels for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    if 1 < len(handles) <= 2 * len(COLOURS):
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    return figure


def importances(found: Comparison) -> Figure | None:
    """A bar an option; None where nothing can be said."""
    known = {
        name: value
        for name, value in importance(found.records, found.names, found.score[0]).items()
        if not math.isnan(value)
    }
    if not known:
        return None
    figure = Figure((6.4, 0.8 + 0.3 * len(known)), dpi=150, layout="constrained")
    axes = figure.subplots()
    order = sorted(known, key=lambda name: known[name])[-MOST_BARS:]
    axes.barh(range(len(order)), [known[name] for name in order], color=COLOURS[0], height=0.6)
    axes.set_yticks(range(len(order)), [_plain(each) for each in order])
    axes.set_xlim(0, 1)
    axes.set_xlabel(f"share of the variance of {found.score[0]}", fontsize=7)
    _calm(axes)
    return figure


def learning(found: Comparison) -> Figure | None:
    """The validation loss of the best runs, as far as they have come, in the colours of their settings; or None."""
    runs = [(_label(found, each), run) for each in found.settings for run in each.runs][:MOST_LINES]
    figure = curves({run.name: run.curves for _, run in runs}, ("val/loss",))
    labels = list(dict.fromkeys(label for label, _ in runs))
    if figure is None or not 1 < len(labels) <= len(COLOURS):
        return figure
    for line, (label, _) in zip(figure.axes[0].lines, runs, strict=True):
        line.set_color(COLOURS[labels.index(label)])
    firsts = [figure.axes[0].lines[[label for label, _ in runs].index(each)] for each in labels]
    figure.legend(firsts, [_plain(each[:60]) for each in labels], loc="outside lower center", ncols=3, fontsize=7,
                  frameon=False)  # fmt: skip
    return figure


def curves(by_run: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], names: Sequence[str]) -> Figure | None:
    """A panel a figure, a line a run, against optimiser steps; None where there is nothing to draw."""
    names = [name for name in names if any(name in each for each in by_run.values())]
    if not names:
        return None
    figure = Figure((3.9 * len(names) if len(names) > 1 else 6.4, 3.0), dpi=150, layout="constrained")
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for number_, each in enumerate(list(by_run.values())[:MOST_LINES]):
            points = each.get(name, ())
            axes.plot([x for x, _ in points], [y for _, y in points], lw=1.0, color=COLOURS[number_ % len(COLOURS)],
                      marker="o" if len(points) < 2 else None, ms=3)  # fmt: skip
        axes.set_title(_plain(name), fontsize=8, color=GREY)
        axes.set_xlabel("optimiser steps", fontsize=7)
        _calm(axes)
    return figure


def axes_of(found: Comparison) -> tuple[str | None, list[str]]:
    """The option on the axis: L, else the first that is a number in every run; and the other ones that differ."""
    numbers = [
        name
        for name in found.varied
        if all(number(each.option(name)) is not None for each in found.records if each.option(name))
    ]
    axis = next((name for name in (*DEGREES, *numbers) if name in numbers), None)
    return axis, [name for name in found.varied if name != axis]


def _lines(found: Comparison, axis: str, other: Sequence[str]) -> dict[str, list[tuple[float, Setting]]]:
    lines: dict[str, list[tuple[float, Setting]]] = {}
    for each in found.settings:
        options = dict(zip(found.varied, each.options, strict=True))
        x = number(options[axis])
        if x is not None:
            lines.setdefault(", ".join(f"{_short(name)}={options[name]}" for name in other), []).append((x, each))
    ordered = sorted(lines.items())[:MOST_LINES]
    return {label: sorted(points, key=lambda point: point[0]) for label, points in ordered}


def _panels(found: Comparison) -> list[str | None]:
    """The headline, then each task by hold-out and labels, from a new row on; None for no panel."""
    done = [each for each in found.records if each.state == FINISHED] or list(found.records)
    tasks = {key.removeprefix("best/") for each in done for key in each.figures if key.startswith("best/probe/")}
    head: list[str | None] = [*columns(found)]
    if PROBES in head and found.score[0] != GAIN:  # there the gain is what lies between the lines
        head = [name for name in head if name != GAIN]
    order = sorted(tasks - {PROBES}, key=lambda name: (name.rpartition("/")[2], name))
    return [*head, *([None] * (-len(head) % WIDE) if order else []), *order][:MOST_PANELS]


def _panel_title(name: str) -> str:
    """`country accuracy, 10° cells, 100 labels` for probe/cells_10/100/country_accuracy."""
    found = re.fullmatch(r"probe/cells_([\d.]+)/(\d+)/(.+)", name)
    return f"{found[3].replace('_', ' ')}, {found[1]}° cells, {found[2]} labels" if found else SHORT.get(name, name)


def _untrained(setting: Setting, name: str) -> float | None:
    """The score of the network before it was trained, which is the score less its gain."""
    if not name.startswith("probe/"):
        return None
    (score, _, scored), (gain, _, gained) = setting.spread(name), setting.spread(f"gain/{name.removeprefix('probe/')}")
    return score - gain if scored and scored == gained else None


def _ticks(axes: Axes, at: Sequence[float]) -> None:
    """The values there are, evenly where they grow by factors."""
    if at[0] > 0 and at[-1] / at[0] >= FACTOR:
        axes.set_xscale("log")
        axes.minorticks_off()
    if len(at) <= MOST_TICKS:
        axes.set_xticks(at, [f"{x:g}" for x in at])


def _bars(spreads: Sequence[float]) -> list[float]:
    """Standard deviations; none is drawn where there is one run."""
    return [0.0 if math.isnan(each) else each for each in spreads]


def _label(found: Comparison, each: Setting) -> str:
    """`L=20, lr=0.001`; the name of the run where nothing differs."""
    named = (f"{_short(name)}={brief(value)}" for name, value in zip(found.varied, each.options, strict=True))
    return ", ".join(named) or each.runs[0].name


def _short(name: str) -> str:
    return "L" if name in DEGREES else name.rpartition(".")[2]


def _plain(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


def _calm(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#edf0f3", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=7, length=2, width=0.5)
