"""What every loss starts from: unit embeddings of the own rows, those of all ranks, and a bounded scale."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip import ranks

MAX_LOGIT_SCALE = math.log(100)  # CLIP's bound (arXiv 2103.00020, section 2.5): beyond it training is unstable
FLOOR = -60.0  # exp(-60) is nothing beside 1, and no subnormal number: those take a CPU a hundred times longer
LEAST = math.exp(FLOOR)
EPSILON = 1e-6  # a zero embedding stays zero instead of becoming NaN


class Pairs(NamedTuple):
    """The rows of the similarity matrix that this rank answers for: row i belongs to column first + i."""

    images: Tensor  # [B, D], unit rows of this rank
    locations: Tensor  # [N, D], unit rows of all ranks
    scale: Tensor  # inverse temperature
    first: int  # column of this rank's first row


def pair(image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor) -> Pairs:
    """Normalise, gather over ranks, and bound the scale; in float32 whatever autocast says (float64 stays float64).

    Call it with autocast off. The scale is clamped in value only: its gradient passes as if it stood at the bound, so
    that a temperature that ran over can come back.

    Raises:
        ValueError: the embeddings are not two equal [B, D], or no rank holds a row.
    """
    if image_embeddings.ndim != 2 or image_embeddings.shape != location_embeddings.shape:
        raise ValueError(
            f"expected image and location embeddings of one shape [B, D], got {tuple(image_embeddings.shape)} and "
            f"{tuple(location_embeddings.shape)}; both towers need the same embedding_dim and the same batch"
        )
    dtype = torch.promote_types(torch.promote_types(image_embeddings.dtype, location_embeddings.dtype), torch.float32)
    held = ranks.counts(len(image_embeddings))
    if not sum(held):
        raise ValueError("the batch is empty on every rank; a contrastive loss needs at least one pair")
    images, locations = (
        F.normalize(embeddings.to(dtype), dim=-1, eps=EPSILON) for embeddings in (image_embeddings, location_embeddings)
    )
    given = logit_scale.to(dtype)
    bounded = given + (given.clamp(max=MAX_LOGIT_SCALE) - given).detach()
    return Pairs(images, ranks.gather(locations, held), bounded.exp(), sum(held[: ranks.rank()]))


def blocks(rows: int, chunk: int) -> Iterator[slice]:
    """Cut `rows` into slices of at most `chunk`."""
    return (slice(start, min(start + chunk, rows)) for start in range(0, rows, chunk))


def at_least_one(**counts: int) -> None:
    """Refuse settings of a loss that count things and count none.

    Raises:
        ValueError: names the setting and its value.
    """
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"loss.{name} must be at least 1, got {count}")
