"""A scale bar that is true where it lies."""

import numpy as np
import torch
from matplotlib.axes import Axes
from numpy.typing import NDArray

from satclip.plots.fitting import WIDE, Projection
from satclip.region import Region
from satclip.sphere import great_circle_km

_ROUND = (1, 2, 5)


def scale_bar(axes: Axes, projection: Projection, region: Region) -> None:
    """Draw one below the map's right corner: its length is a round number of kilometres along the middle of the map.

    A map wider than half the Earth has none: no length is true all over it.
    """
    if region.width > WIDE:
        return
    (left, right), low = axes.get_xlim(), axes.get_ylim()[0]
    middle = np.array([0.0, (region.south + region.north) / 2])
    centre = projection.project(middle)
    truth = kilometres_per_unit(projection, centre, (right - left) / 20)
    length = round_below((right - left) * truth / 4)
    drawn = length / truth
    tall = 0.012 * (right - left)
    end, base = right - 0.02 * (right - left), low - 4 * tall  # below the degrees of the meridians
    axes.plot([end - drawn, end], [base, base], color="black", linewidth=1.6, solid_capstyle="butt", clip_on=False)
    for x in (end - drawn, end):
        axes.plot([x, x], [base - tall / 2, base + tall / 2], color="black", linewidth=0.8, clip_on=False)
    axes.text(
        end - drawn / 2, base - tall, f"{length:g} km", fontsize=6, ha="center", va="top", clip_on=False, gid="scale"
    )


def kilometres_per_unit(projection: Projection, centre: NDArray[np.float64], step: float) -> float:
    """True kilometres per unit of the map, eastwards through a map position [2]."""
    half = np.array([step / 2, 0.0])
    ends = projection.unproject(np.stack((centre - half, centre + half)))
    a, b = torch.from_numpy(ends)
    return float(great_circle_km(a, b)) / step


def round_below(length: float) -> float:
    """The largest of 1, 2, 5, 10, 20 ... that is not above `length`."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(each * power for each in _ROUND if each * power <= length * (1 + 1e-9)))
