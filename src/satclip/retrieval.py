"""Retrieval between images and locations: does a picture find its place, and a place its picture?

Row i of the images belongs to row i of the locations. Similarity is the cosine; among equal similarities the lower row
comes first, so that a model which answers everything alike scores by chance and every run gives the same figures.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip.sphere import great_circle_km

TOP = (1, 5, 10)
_CHANCE_PAIRS = 200_000


@torch.no_grad()
def retrieval_metrics(images: Tensor, locations: Tensor, lonlat: Tensor, *, rows: int = 512) -> dict[str, float]:
    """Retrieval both ways among N places, by name.

    Args:
        images: embeddings [N, D], of any length.
        locations: embeddings [N, D], of any length.
        lonlat: where they belong, degrees [N, 2].
        rows: queries compared at a time; memory is a few times rows x N floats, never N x N.

    Returns:
        `image_to_location/top1`, `/top5`, `/top10`: fraction of the images whose own place is among the first k;
        `image_to_location/median_km`: median great-circle distance from the true place to the one found first;
        and the same four under `location_to_image/`.

    Raises:
        ValueError: when there is nothing to search, or the three do not match.
    """
    if not len(images) or not len(images) == len(locations) == len(lonlat):
        raise ValueError(
            f"retrieval needs as many images as locations and places, at least one: got {len(images)}, "
            f"{len(locations)} and {len(lonlat)}"
        )
    images, locations = F.normalize(images, dim=-1), F.normalize(locations, dim=-1)
    metrics: dict[str, float] = {}
    for name, queries, keys in (("image_to_location", images, locations), ("location_to_image", locations, images)):
        before, first = _search(queries, keys, rows)
        hits = torch.stack([(before < k).sum() for k in TOP]).tolist()
        metrics |= {f"{name}/top{k}": hit / len(queries) for k, hit in zip(TOP, hits, strict=True)}
        metrics[f"{name}/median_km"] = float(great_circle_km(lonlat, lonlat[first]).median())
    return metrics


def chance(lonlat: Tensor, *, seed: int = 0) -> dict[str, float]:
    """What guessing scores among the same places: `chance/top1`, `/top5`, `/top10`, `/median_km` (degrees [N, 2]).

    The distance is the median over pairs drawn at random, good to about one per cent.
    """
    count = len(lonlat)
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randint(count, (2, _CHANCE_PAIRS), generator=generator)
    places = lonlat.cpu()
    metrics = {f"chance/top{k}": min(k, count) / count for k in TOP}
    return metrics | {"chance/median_km": float(great_circle_km(places[a], places[b]).median())}


def _search(queries: Tensor, keys: Tensor, rows: int) -> tuple[Tensor, Tensor]:
    """For each query how many keys come before its own, and which key comes first: [N, D] x [N, D] -> [N], [N].

    Written so that a NaN counts against the query: a diverged model must not look perfect.
    """
    count = len(keys)
    before, first = [], []
    for start in range(0, count, rows):
        similarity = queries[start : start + rows] @ keys.T
        stop = start + len(similarity)
        lower, same, higher = similarity[:, :start], similarity[:, start:stop], similarity[:, stop:]
        own = same.diagonal()[:, None]
        tied_earlier = (same == own).tril(-1)
        ahead = start - (lower < own).sum(1)
        ahead += (~(same <= own) | tied_earlier).sum(1)
        ahead += count - stop - (higher <= own).sum(1)
        before.append(ahead)
        first.append(similarity.max(1).indices)
    return torch.cat(before), torch.cat(first)
