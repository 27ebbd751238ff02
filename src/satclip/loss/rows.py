"""Losses of single places: a mean over the rows of all ranks, whose gradient DDP averages rightly."""

import torch
from torch import Tensor, nn

from satclip import ranks
from satclip.loss.inputs import AUXILIARY


def mean_over_ranks(rows: Tensor, there: Tensor | None = None) -> Tensor:
    """The mean of one number a place over the batch of all ranks: [B] -> scalar, the same on every rank.

    Ranks may hold unequal numbers of rows, or none. The gradient of each rank is its share times the number of ranks,
    because DDP averages gradients (see `ClipLoss`).

    Args:
        rows: [B].
        there: [B], true where a row counts; all do where it is None. Where none does the mean is 0.

    Raises:
        ValueError: there is not one number a place, or no rank holds a place.
    """
    if rows.ndim != 1:
        raise ValueError(f"a mean over places takes one number a place, [B], got {list(rows.shape)}")
    if not int(ranks.total(len(rows))):
        raise ValueError("the batch is empty on every rank; a loss needs at least one place")
    counted = rows if there is None else rows.where(there, 0.0)
    mine = counted.sum()
    count = ranks.total(mine.new_tensor(len(rows)) if there is None else there.sum().to(mine)).clamp_min(1)
    share = mine * (ranks.world_size() / count)
    return share + (ranks.total(mine) / count - share).detach()


class AuxiliaryLoss(nn.Module):
    """The mean of a term that the location encoder computes beside its embedding, over the batch of all ranks.

    A term of more than one number a place counts as the mean of them. For `CombinedLoss`: encoders with terms of their
    own, such as the semantic tokens of TTE (arXiv 2606.27514), are trained by a contrastive loss plus weighted terms.

    Args:
        term: its name, one of the encoder's `auxiliary`.
    """

    def __init__(self, term: str) -> None:
        super().__init__()
        self.inputs = {"rows": f"{AUXILIARY}{term}"}

    def forward(
        self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor, *, rows: Tensor
    ) -> Tensor:
        """The scalar loss, in float32 (float64 if the term is): `rows` is [B, ...]."""
        wide = rows.to(torch.promote_types(rows.dtype, torch.float32))
        return mean_over_ranks(wide if wide.ndim == 1 else wide.flatten(1).mean(1))
