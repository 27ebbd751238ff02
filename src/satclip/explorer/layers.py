"""What a page paints besides similarity: the embedding in colours, and its regions."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.explorer.cells import Cells
from satclip.explorer.quantise import Quantised
from satclip.optional_import import optional
from satclip.plots.colours import equalise, natural_colours, principal_components

log = logging.getLogger(__name__)
REGIONS = 8  # as many colours as all eyes tell apart (Okabe and Ito 2008)
_TAUGHT = 20_000  # cells that k-means looks at
_STARTS = 3


@dataclass(frozen=True)
class Regions:
    """k-means over the directions of the embeddings.

    Attributes:
        of: the region of each cell, the largest first, uint8 [N].
        shares: of the area.
    """

    of: NDArray[np.uint8]
    shares: tuple[float, ...]


def component_colours(embeddings: Tensor, cells: Cells) -> NDArray[np.uint8] | None:
    """The first three principal components as in `satclip map`, RGB [N, 3]; None below three dimensions."""
    if embeddings.shape[1] < 3:
        return None
    components = principal_components(embeddings, cells.weights)
    colours = natural_colours(components, cells.lonlat, cells.weights)
    return (255 * colours).round().to(torch.uint8).numpy()


def two_components(embeddings: Tensor, cells: Cells) -> NDArray[np.uint8]:
    """The first two components, equalised, 0 to 255, [N, 2]: the page shows them as blue to yellow and dark to light.

    Those are the two axes of colour that every kind of colour blindness keeps. Of one dimension the second is constant.
    """
    components = principal_components(embeddings, cells.weights, count=min(2, embeddings.shape[1]))
    spread = torch.full((len(components), 2), 0.5, dtype=torch.float64)
    for number, column in enumerate(components.T):
        spread[:, number] = equalise(column, cells.weights)
    return (255 * spread).round().to(torch.uint8).numpy()


def regions(quantised: Quantised, cells: Cells) -> Regions | None:
    """Up to `REGIONS` clusters of the embeddings, weighted by area; None, with a line in the log, without sklearn."""
    if optional("sklearn") is None:
        log.warning("the explorer has no regions: they need pip install 'satclip[evaluate]'")
        return None
    from sklearn.cluster import KMeans

    rows = quantised.rows * quantised.steps
    area = cells.weights.numpy()
    count = min(REGIONS, len(np.unique(quantised.rows, axis=0)))
    taught = np.random.default_rng(0).permutation(np.flatnonzero(area > 0))[:_TAUGHT]
    count = min(count, len(np.unique(quantised.rows[taught], axis=0)))
    means = KMeans(count, n_init=_STARTS, random_state=0).fit(rows[taught], sample_weight=area[taught])
    found = means.predict(rows)
    sums = np.bincount(found, weights=area, minlength=count)
    rank = np.empty(count, dtype=np.uint8)
    rank[np.argsort(-sums)] = np.arange(count)
    return Regions(rank[found], tuple(np.sort(sums)[::-1] / sums.sum()))
