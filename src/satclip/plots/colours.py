"""From embeddings to colours that a reader can tell apart, and that look alike from one training to the next."""

from itertools import permutations, product

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip.sphere import unit_vectors

# The colours of the corners of the cube that three components span, from low to high.
CORNERS = {
    (0, 0, 0): (39, 48, 79),
    (1, 0, 0): (200, 85, 61),
    (0, 1, 0): (46, 139, 87),
    (0, 0, 1): (63, 111, 206),
    (1, 1, 0): (240, 199, 94),
    (1, 0, 1): (181, 101, 167),
    (0, 1, 1): (79, 195, 199),
    (1, 1, 1): (246, 241, 231),
}
# The corner that a place would lie near, were the components free to choose: sand for the Sahara, green for the Amazon.
ANCHORS = {
    (15.0, 23.0): (1, 1, 0),  # Sahara
    (-62.0, -5.0): (0, 1, 0),  # Amazon
    (-40.0, 74.0): (1, 1, 1),  # Greenland
    (105.0, 62.0): (0, 0, 1),  # Siberian taiga
    (134.0, -25.0): (1, 0, 0),  # Red Centre of Australia
}
_GAMMA = 2.2
_EQUALISED = 0.75  # the rest is a plain stretch, which keeps some of the true distances


def principal_components(embeddings: Tensor, weights: Tensor | None = None, *, count: int = 3) -> Tensor:
    """The first `count` principal components of the embeddings' directions: [N, D] -> float64 [N, count].

    Embeddings are compared by cosine, so they are normalised first. `weights` [N] are areas, or whatever else a row
    counts for; rows of weight 0 are projected without a say. Each component's sign makes its largest loading positive.

    Raises:
        ValueError: with fewer dimensions than components, or an embedding that is not finite.
    """
    return decomposed(embeddings, weights, count=count)[0]


def decomposed(embeddings: Tensor, weights: Tensor | None = None, *, count: int = 3) -> tuple[Tensor, Tensor]:
    """As `principal_components`, and the share of the variance that each of them explains, float64 [count]."""
    if embeddings.shape[1] < count:
        raise ValueError(f"{count} principal components need {count} dimensions, got {embeddings.shape[1]}")
    if not embeddings.isfinite().all():
        raise ValueError("the embedding has NaN or infinite values: the training diverged; lower the learning rate")
    rows = F.normalize(embeddings.double(), dim=-1)
    share = torch.ones(len(rows), dtype=rows.dtype) if weights is None else weights.to(rows)
    share = share / share.sum()
    rows = rows - share @ rows
    values, vectors = torch.linalg.eigh(rows.T @ (rows * share[:, None]))
    loadings = vectors.flip(1)[:, :count]
    largest = loadings.gather(0, loadings.abs().argmax(0, keepdim=True))
    explained = values.flip(0)[:count].clamp_min(0) / values.clamp_min(0).sum().clamp_min(1e-300)
    return rows @ (loadings * largest.sign()), explained


def equalise(values: Tensor, weights: Tensor) -> Tensor:
    """Spread one component over [0, 1] so that equal areas take about equal parts of it: [N] -> [N]."""
    order = values.argsort(stable=True)
    area = weights[order].cumsum(0)
    area = area / area[-1]
    rank = torch.empty_like(area).scatter_(0, order, area)
    low, high = (values[order][torch.searchsorted(area, quantile)] for quantile in (0.01, 0.99))
    stretched = ((values - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
    return _EQUALISED * rank + (1 - _EQUALISED) * stretched


def natural_colours(components: Tensor, lonlat: Tensor, weights: Tensor) -> Tensor:
    """A colour for every place, from three components: [N, 3], degrees [N, 2], areas [N] -> RGB in [0, 1], [N, 3].

    Each component is equalised. Components carry no order or sign of their own that a reader could know, so these are
    chosen, among the 48 ways, to bring five well-known places nearest to the colours one expects of them.
    """
    spread = torch.stack([equalise(column, weights) for column in components.double().T], dim=1)
    return _blend(_turn(spread, lonlat))


def _turn(spread: Tensor, lonlat: Tensor) -> Tensor:
    """The permutation and the signs of the three axes that suit the anchors best."""
    vectors = unit_vectors(lonlat.double())
    nearest = (unit_vectors(torch.tensor(list(ANCHORS), dtype=torch.float64)) @ vectors.T).argmax(1)
    wanted = torch.tensor(list(ANCHORS.values()), dtype=torch.float64) - 0.5
    centred = spread - 0.5
    turns = product(permutations(range(3)), product((1.0, -1.0), repeat=3))
    ways = [(list(axes), torch.tensor(signs)) for axes, signs in turns]
    axes, signs = max(ways, key=lambda way: float((centred[nearest][:, way[0]] * way[1] * wanted).sum()))
    return centred[:, axes] * signs + 0.5


def _blend(position: Tensor) -> Tensor:
    """Mix the corners' colours at positions in the unit cube, in linear light: [N, 3] -> [N, 3]."""
    mixed = torch.zeros_like(position)
    for corner, colour in CORNERS.items():
        here = torch.tensor(corner, dtype=torch.bool)
        share = torch.where(here, position, 1 - position).prod(1, keepdim=True)
        mixed += share * (torch.tensor(colour, dtype=position.dtype) / 255) ** _GAMMA
    return mixed ** (1 / _GAMMA)
