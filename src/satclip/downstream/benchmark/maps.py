"""Maps of a benchmark: the truth, what was predicted where nothing nearby was known, and how far off it was."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from satclip.downstream.benchmark.answered import Answered
from satclip.downstream.contract import Array, Labels

NUMBERS, ERRORS = "viridis", LinearSegmentedColormap.from_list("error", ["#2e6fbf", "#eef1f3", "#c8553d"])
RIGHT, WRONG = "#9fc6b5", "#c8553d"
MOST_CLASSES = 20  # told apart by colour; the others share the last
NAMED_CLASSES = 8  # in the legend, the most frequent ones
REGIONAL = 60.0  # degrees; a smaller extent is drawn for itself


def error_maps(labels: Labels, found: Answered, title: str) -> Figure:
    """Three maps side by side.

    Raises:
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    regional = _is_regional(found.lonlat)
    figure = Figure((13.2, 4.6 if regional else 2.9), dpi=130, layout="constrained")
    panels = figure.subplots(1, 3)
    if labels.classes is None:
        low, high = np.quantile(found.truth, [0.02, 0.98]).tolist()
        off = found.answer - found.truth
        widest = float(np.quantile(np.abs(off), 0.95)) or 1.0
        unit = f" ({labels.unit})" if labels.unit else ""
        shades = Normalize(low, high)
        _points(panels[0], found.lonlat, found.truth, NUMBERS, shades, regional=regional)
        drawn = _points(panels[1], found.lonlat, found.answer, NUMBERS, shades, regional=regional)
        wrong = _points(panels[2], found.lonlat, off, ERRORS, Normalize(-widest, widest), regional=regional)
        for artist, axes, words in ((drawn, panels[1], labels.name + unit), (wrong, panels[2], f"error{unit}")):
            bar = figure.colorbar(artist, ax=axes, orientation="horizontal", shrink=0.6, aspect=36, pad=0.02)
            bar.locator = MaxNLocator(4)
            bar.set_label(words, fontsize=7)
            bar.ax.tick_params(labelsize=7)
            bar.outline.set_linewidth(0.4)
    else:
        common = np.argsort(-np.bincount(found.truth.astype(np.int64), minlength=len(labels.classes)), kind="stable")
        rank = np.empty(len(common), dtype=np.int64)
        rank[common] = np.arange(len(common))
        few = len(common) <= 10
        colours, shades = ("tab10", Normalize(0, 9)) if few else ("tab20", Normalize(0, MOST_CLASSES - 1))
        for axes, codes in zip(panels, (found.truth, found.answer), strict=False):
            ranked = np.minimum(rank[codes.astype(np.int64)], MOST_CLASSES - 1)
            drawn = _points(axes, found.lonlat, ranked, colours, shades, regional=regional)
        _name_classes(figure, drawn, [labels.classes[code] for code in common if (found.truth == code).any()])
        right = (found.answer == found.truth).astype(np.float64)
        two = LinearSegmentedColormap.from_list("right", [WRONG, RIGHT])
        _points(panels[2], found.lonlat, right, two, Normalize(0, 1), regional=regional)
    third = "prediction - truth" if labels.classes is None else f"right (pale) or wrong: {right.mean():.0%} right"
    for axes, words in zip(panels, ("truth", "prediction", third), strict=True):
        axes.set_title(words, fontsize=9)
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return figure


def _name_classes(figure: Figure, drawn: PathCollection, names: Sequence[str]) -> None:
    """The colours of the first classes below the maps; long names are cut, and any letters are taken as they are."""
    handles = []
    for rank, name in enumerate(names[:NAMED_CLASSES]):
        text = f"{name:.28}".replace("$", r"\$")  # two of them would be mathematics
        # Behind a space: Matplotlib leaves out of a legend what begins with "_".
        red, green, blue, _ = map(float, drawn.to_rgba(np.array(rank)))
        handles.append(Line2D([], [], color=(red, green, blue), linestyle="", marker="o", label=f" {text}"))
    more = len(names) - NAMED_CLASSES
    title = f"the {NAMED_CLASSES} most frequent of {len(names)}" if more > 0 else None
    figure.legend(
        handles=handles, title=title, loc="outside lower left", ncols=4, fontsize=7, title_fontsize=7, frameon=False
    )


def _is_regional(lonlat: Array) -> bool:
    return bool(np.ptp(lonlat, axis=0).max() < REGIONAL)


def _points(
    axes: Axes,
    lonlat: Array,
    values: NDArray[np.float64] | NDArray[np.int64],
    colours: str | Colormap,
    shades: Normalize,
    *,
    regional: bool,
) -> PathCollection:
    from satclip.plots.regional import coasts  # the outlines of the land: another extra than the benchmark's
    from satclip.plots.world import frame, map_positions

    if regional:
        coasts(axes, lonlat)
        places = lonlat
    else:
        frame(axes)
        places = map_positions(lonlat)
    size = float(np.clip(9000 / len(lonlat), 1.5, 14))
    order = np.argsort(np.abs(np.asarray(values, dtype=np.float64)), kind="stable")
    return axes.scatter(
        places[order, 0],
        places[order, 1],
        c=values[order],
        s=size,
        cmap=colours,
        norm=shades,
        linewidths=0,
        zorder=5,
        rasterized=True,
    )
