"""Symmetric cross-entropy over cosine similarities, without ever holding the similarity matrix."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from satclip import ranks
from satclip.loss.pairs import FLOOR, LEAST, at_least_one, blocks, pair


class ClipLoss(nn.Module):
    """The loss of CLIP (arXiv 2103.00020): which location is this image's, which image is this location's, averaged.

    Called as `loss(image_embeddings [B, D], location_embeddings [B, D], logit_scale)`, with the embeddings not
    normalised and the scale as a logarithm, ln(1 / temperature), bounded by `MAX_LOGIT_SCALE`. Every other row of every
    rank is a negative.

    Each rank works through its own rows of the [N, N] matrix (N rows over all ranks), `chunk` rows at a time, and in
    one pass feeds both softmaxes: its rows' sums are complete, the columns' sums are completed over ranks. Where an
    exponential could leave the range of float32, both shift by their running maximum: the loss is finite for any
    embeddings at any scale. The blocks are computed again in the backward pass. Memory is O(chunk x N + N x D).

    On several ranks the value is that of the whole batch, the same on every rank. The gradient of each rank is its
    share times the number of ranks, because DDP averages gradients: that average is then the gradient of one process
    with the whole batch. Ranks may hold unequal numbers of rows, or none; each must call the loss equally often.

    Args:
        chunk: rows of the similarity matrix worked on at once.
    """

    def __init__(self, *, chunk: int = 512) -> None:
        super().__init__()
        at_least_one(chunk=chunk)
        self.chunk = chunk

    def forward(self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are)."""
        with torch.autocast(image_embeddings.device.type, enabled=False):
            pairs = pair(image_embeddings, location_embeddings, logit_scale)
            loss: Tensor = _SymmetricCrossEntropy.apply(*pairs, self.chunk)
        return loss


class _SymmetricCrossEntropy(torch.autograd.Function):
    """sum_i softplus(margin of row i) + softplus(margin of column i), over 2N, by blocks of rows.

    The margin is log sum exp of the other logits minus the match. So written, a loss near zero keeps its digits.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, locations: Tensor, scale: Tensor, first: int, chunk: int) -> Tensor:
        count, width = len(images), len(locations)
        bare = _needs_no_shift(scale)
        scaled = images * scale
        matches, row_others = images.new_empty(2, count)
        row_max = images.new_zeros(count)
        column_max, column_others = images.new_full((width,), 0 if bare else -torch.inf), images.new_zeros(width)
        logits_memory, terms_memory = (images.new_empty(min(chunk, count), width) for _ in range(2))

        for rows in blocks(count, chunk):
            size, diagonal = rows.stop - rows.start, first + rows.start
            logits, terms = logits_memory[:size], terms_memory[:size]
            torch.mm(scaled[rows], locations.T, out=logits)
            matches[rows] = logits.diagonal(diagonal)
            if bare:
                terms = logits.exp_()
                terms.diagonal(diagonal).zero_()
                torch.sum(terms, 1, out=row_others[rows])
            else:
                torch.amax(logits, 1, out=row_max[rows])
                torch.sub(logits, row_max[rows, None], out=terms).clamp_(min=FLOOR).exp_()
                terms.diagonal(diagonal).zero_()
                torch.sum(terms, 1, out=row_others[rows])
                higher = torch.maximum(column_max, logits.amax(0))
                terms = logits.sub_(higher).clamp_(min=FLOOR).exp_()
                terms.diagonal(diagonal).zero_()
                column_others.mul_((column_max - higher).exp_())
                column_max = higher
            column_others.add_(terms.sum(0))

        own = slice(first, first + count)
        higher = ranks.largest(column_max)
        column_match = torch.zeros_like(column_others)
        column_match[own] = (matches - higher[own]).exp_()
        column_others, column_match = ranks.total(
            torch.stack((column_others * (column_max - higher).exp_(), column_match))
        )
        row_margin = row_others.log() + row_max - matches
        column_margin = (column_others.log() + higher)[own] - matches
        losses = F.softplus(row_margin) + F.softplus(column_margin)

        per_row = 1 / (row_others + (matches - row_max).exp_())
        per_column = 1 / (column_others + column_match)
        pull = row_margin.sigmoid_() + column_margin.sigmoid_()
        ctx.save_for_backward(images, locations, scale, row_max, per_row, higher, per_column, pull)
        ctx.first, ctx.chunk, ctx.bare = first, chunk, bare
        return ranks.total(losses.sum()) / (2 * width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, locations, scale, row_max, per_row, column_max, per_column, pull = ctx.saved_tensors
        count, width = len(images), len(locations)
        scaled = images * scale
        to_images, to_locations = torch.empty_like(images), torch.zeros_like(locations)
        logits_memory, terms_memory = (images.new_empty(min(ctx.chunk, count), width) for _ in range(2))

        with torch.autocast(images.device.type, enabled=False):
            for rows in blocks(count, ctx.chunk):
                size = rows.stop - rows.start
                logits, terms = logits_memory[:size], terms_memory[:size]
                torch.mm(scaled[rows], locations.T, out=logits)
                if ctx.bare:
                    torch.add(per_row[rows, None], per_column, out=terms)
                    slopes = logits.exp_().mul_(terms).clamp_(min=LEAST)
                else:
                    torch.sub(logits, row_max[rows, None], out=terms).clamp_(min=FLOOR).exp_().mul_(per_row[rows, None])
                    slopes = logits.sub_(column_max).clamp_(min=FLOOR).exp_().mul_(per_column).add_(terms)
                slopes.diagonal(ctx.first + rows.start).copy_(-pull[rows])
                torch.mm(slopes, locations, out=to_images[rows])
                to_locations.addmm_(slopes.T, images[rows])

        share = gradient * (ranks.world_size() / (2 * width))
        to_scale = (images * to_images).sum() * share
        return to_images.mul_(scale * share), to_locations.mul_(scale * share), to_scale, None, None


def _needs_no_shift(scale: Tensor) -> bool:
    """Whether exp of any logit, and the sum of any number of them, is an ordinary float32.

    Then one exponential serves both softmaxes. Asked on the CPU only: a GPU would have to stop to answer.
    """
    return scale.device.type == "cpu" and float(scale) <= 70
