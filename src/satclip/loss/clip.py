"""Symmetric cross-entropy over cosine similarities, without ever holding the similarity matrix."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from satclip import ranks
from satclip.loss.pairs import FLOOR, blocks, check_chunk, pair


class ClipLoss(nn.Module):
    """The loss of CLIP (arXiv 2103.00020): which location is this image's, which image is this location's, averaged.

    Called as `loss(image_embeddings [B, D], location_embeddings [B, D], logit_scale)`, with the embeddings not
    normalised and the scale as a logarithm, ln(1 / temperature), bounded by `MAX_LOGIT_SCALE`. Every other row of every
    rank is a negative.

    Each rank works through its own rows of the [N, N] matrix (N rows over all ranks), `chunk` rows at a time, and in
    one pass feeds both softmaxes: its rows' sums are complete, the columns' sums are completed over ranks. Both shift
    by their running maximum, so the loss is finite for any embeddings at any scale. The blocks are computed again in
    the backward pass. Memory is O(chunk x N + N x D).

    On several ranks the value is that of the whole batch, the same on every rank. The gradient of each rank is its
    share times the number of ranks, because DDP averages gradients: that average is then the gradient of one process
    with the whole batch. Ranks may hold unequal numbers of rows, or none; each must call the loss equally often.

    Args:
        chunk: rows of the similarity matrix worked on at once.
    """

    def __init__(self, *, chunk: int = 512) -> None:
        super().__init__()
        self.chunk = check_chunk(chunk)

    def forward(self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are)."""
        with torch.autocast(image_embeddings.device.type, enabled=False):
            pairs = pair(image_embeddings, location_embeddings, logit_scale)
            loss: Tensor = _SymmetricCrossEntropy.apply(*pairs, self.chunk)
        return loss


class _SymmetricCrossEntropy(torch.autograd.Function):
    """sum_i (2 logit_ii - log sum_j exp logit_ij - log sum_j exp logit_ji) / -2N, by blocks of rows."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, locations: Tensor, scale: Tensor, first: int, chunk: int) -> Tensor:
        count, width = len(images), len(locations)
        scaled = images * scale
        matches = images.new_empty(count)
        row_max, row_sum = images.new_empty(count), images.new_empty(count)
        column_max, column_sum = images.new_full((width,), -torch.inf), images.new_zeros(width)
        logits_memory, terms_memory = images.new_empty(2, min(chunk, count), width)

        for rows in blocks(count, chunk):
            size = rows.stop - rows.start
            logits = torch.mm(scaled[rows], locations.T, out=logits_memory[:size])
            matches[rows] = logits.diagonal(first + rows.start)
            torch.amax(logits, 1, out=row_max[rows])
            terms = torch.sub(logits, row_max[rows, None], out=terms_memory[:size]).clamp_(min=FLOOR).exp_()
            torch.sum(terms, 1, out=row_sum[rows])

            higher = torch.maximum(column_max, logits.amax(0))
            terms = logits.sub_(higher).clamp_(min=FLOOR).exp_()
            column_sum.mul_((column_max - higher).exp_()).add_(terms.sum(0))
            column_max = higher

        higher = ranks.largest(column_max)
        column_sum = ranks.total(column_sum * (column_max - higher).exp_())
        own = slice(first, first + count)
        # Maximum minus match first: both are large and often equal, and their difference is exact.
        losses = (row_max - matches) + row_sum.log() + (higher[own] - matches) + column_sum[own].log()

        ctx.save_for_backward(images, locations, scale, row_max, row_sum, higher, column_sum)
        ctx.first, ctx.chunk = first, chunk
        return ranks.total(losses.sum()) / (2 * width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, locations, scale, row_max, row_sum, column_max, column_sum = ctx.saved_tensors
        count, width = len(images), len(locations)
        scaled = images * scale
        to_images, to_locations = torch.empty_like(images), torch.zeros_like(locations)
        logits_memory, terms_memory = images.new_empty(2, min(ctx.chunk, count), width)

        with torch.autocast(images.device.type, enabled=False):
            for rows in blocks(count, ctx.chunk):
                size = rows.stop - rows.start
                logits = torch.mm(scaled[rows], locations.T, out=logits_memory[:size])
                # exp(logit - maximum) / sum, not exp(logit - log sum): that rounds to 4e-6 at a logit of 100.
                slopes = torch.sub(logits, row_max[rows, None], out=terms_memory[:size]).clamp_(min=FLOOR).exp_()
                slopes.div_(row_sum[rows, None])
                slopes.add_(logits.sub_(column_max).clamp_(min=FLOOR).exp_().div_(column_sum))
                slopes.diagonal(ctx.first + rows.start).sub_(2)
                torch.mm(slopes, locations, out=to_images[rows])
                to_locations.addmm_(slopes.T, images[rows])

        share = gradient * (ranks.world_size() / (2 * width))
        to_scale = (images * to_images).sum() * share
        return to_images.mul_(scale * share), to_locations.mul_(scale * share), to_scale, None, None
