"""Draw docs/holdouts.png: what a random split tests, and what held-out cells test."""

import argparse
import sys
from pathlib import Path

import numpy as np

from satclip.optional_import import remedy

try:
    from matplotlib.figure import Figure

    from satclip.downstream.contract import Array, Labels
    from satclip.downstream.evaluate.holdouts import Draw, cell_draws, random_draws
    from satclip.downstream.evaluate.sphere_index import nearest
    from satclip.downstream.places import labelled_places
    from satclip.plots.world import frame, map_positions, save
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")


LABEL, TEST = "#9aa7b1", "#c8553d"


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--places", type=int, default=2000, help="labelled places on land (default 2000)")
    parser.add_argument("output", type=Path, nargs="?", default=Path("docs/holdouts.png"))
    options = parser.parse_args()
    lonlat: Array = labelled_places(options.places)[0].lonlat
    labels = Labels("places", lonlat, np.zeros(len(lonlat)))
    figure = Figure((11, 3.1), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    draws = (next(random_draws(labels, 1, 0)), next(cell_draws(labels, 20.0, 1, 0)))
    for axes, draw, words in ((left, draws[0], "random places"), (right, draws[1], "cells of 20 degrees")):
        frame(axes)
        for rows, colour in ((draw.pool, LABEL), (draw.test, TEST)):
            axes.scatter(*map_positions(lonlat[rows]).T, s=2.5, c=colour, linewidths=0, zorder=5)
        axes.set_title(f"{words}: the nearest label is {kilometres(lonlat, draw):,.0f} km away", fontsize=10)
    print(save(figure, options.output))


def kilometres(lonlat: Array, draw: Draw) -> float:
    """Median distance of the tested places to the nearest label."""
    return float(np.median(nearest(lonlat[draw.pool], lonlat[draw.test], 1)[0]))


if __name__ == "__main__":
    main()
