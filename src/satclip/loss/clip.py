"""Symmetric cross-entropy over cosine similarities, by blocks of rows of the similarity matrix."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from satclip import ranks
from satclip.loss.block_memory import BlockMemory
from satclip.loss.negatives import EMBEDDING, Excluded, Negatives, debiased
from satclip.loss.pairs import FLOOR, LEAST, at_least_one, blocks, pair
from satclip.products import add_product, multiply, right_factor

LOWEST = -1e4  # below any logit: a column whose rows are all excluded so far has a maximum to count from


class ClipLoss(nn.Module):
    """The loss of CLIP (arXiv 2103.00020): which location is this image's, which image is this location's, averaged.

    Called as `loss(image_embeddings [B, D], location_embeddings [B, D], logit_scale)`, with the embeddings not
    normalised and the scale as a logarithm, ln(1 / temperature), bounded by `MAX_LOGIT_SCALE`. Every other row of every
    rank is a negative.

    Each rank works through its own rows of the [N, N] matrix (N rows over all ranks), `chunk` rows at a time, and in
    one pass feeds both softmaxes: its rows' sums are complete, the columns' sums are completed over ranks. Where an
    exponential could leave the range of float32, both shift by their running maximum: the loss is finite for any
    embeddings at any scale. Up to `KEPT_BYTES` of the blocks are kept for the backward pass, the others are computed
    again there. Memory is O(chunk x N + N x D) beside that constant.

    On several ranks the value is that of the whole batch, the same on every rank. The gradient of each rank is its
    share times the number of ranks, because DDP averages gradients: that average is then the gradient of one process
    with the whole batch. Ranks may hold unequal numbers of rows, or none; each must call the loss equally often.

    Not every other row is a true negative: two patches of one desert are alike. Pairs within so many kilometres, or
    whose pictures are alike, can be left out of the denominators, and what remains be debiased for the chance that a
    negative is a positive (Chuang et al. 2020, arXiv 2007.00224). A row without negatives adds nothing.

    Args:
        chunk: rows of the similarity matrix worked on at once.
        exclude_within_km: see `Negatives`.
        exclude_alike: see `Negatives`.
        alike_by: see `Negatives`.
        debias: see `Negatives`.
    """

    def __init__(
        self,
        *,
        chunk: int = 512,
        exclude_within_km: float = 0.0,
        exclude_alike: float | None = None,
        alike_by: str = EMBEDDING,
        debias: float = 0.0,
    ) -> None:
        super().__init__()
        at_least_one(chunk=chunk)
        self.chunk = chunk
        self.negatives = Negatives(exclude_within_km, exclude_alike, alike_by, debias)
        self.inputs = self.negatives.inputs

    def forward(
        self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor, **given: Tensor
    ) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are).

        Args:
            image_embeddings: [B, D], not normalised.
            location_embeddings: [B, D], not normalised.
            logit_scale: ln(1 / temperature).
            given: what the options need: `lonlat` in degrees [B, 2], `alike_by` [B, K].
        """
        with torch.autocast(image_embeddings.device.type, enabled=False):
            pairs = pair(image_embeddings, location_embeddings, logit_scale)
            excluded = self.negatives.excluded(pairs, image_embeddings, given)
            keep = torch.is_grad_enabled()
            loss: Tensor = _SymmetricCrossEntropy.apply(*pairs, self.chunk, excluded, self.negatives.debias, keep)
        return loss


class _SymmetricCrossEntropy(torch.autograd.Function):
    """sum_i softplus(margin of row i) + softplus(margin of column i), over 2N, by blocks of rows.

    The margin is log sum exp of the other logits minus the match. So written, a loss near zero keeps its digits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        images: Tensor,
        locations: Tensor,
        scale: Tensor,
        first: int,
        chunk: int,
        excluded: Excluded | None,
        debias: float,
        keep: bool,
    ) -> Tensor:
        count, width = len(images), len(locations)
        bare = _needs_no_shift(scale)
        scaled = images * scale
        matches, row_others = images.new_empty(2, count)
        row_max = images.new_zeros(count)
        column_max, column_others = images.new_full((width,), 0 if bare else -torch.inf), images.new_zeros(width)
        memory = BlockMemory(images, min(chunk, count), width, keep=keep)
        terms_memory = images.new_empty(0 if bare else min(chunk, count), width)
        row_count, column_count = images.new_full((count,), width - 1), images.new_zeros(width)
        out: Tensor | None = None

        for rows in blocks(count, chunk):
            size, diagonal = rows.stop - rows.start, first + rows.start
            logits, terms = memory.block(rows), terms_memory[:size]
            multiply(scaled[rows], locations.T, logits)
            matches[rows] = logits.diagonal(diagonal)
            if excluded is not None:
                out = excluded.block(rows)
                logits.masked_fill_(out, -torch.inf)
                row_count[rows] -= out.sum(1)
                column_count -= out.sum(0)
            if bare:
                terms = logits.exp_()
                terms.diagonal(diagonal).zero_()
                torch.sum(terms, 1, out=row_others[rows])
            else:
                torch.amax(logits, 1, out=row_max[rows])
                torch.sub(logits, row_max[rows, None], out=terms).clamp_(min=FLOOR).exp_()
                _zero(terms, diagonal, out)
                torch.sum(terms, 1, out=row_others[rows])
                higher = torch.maximum(column_max, logits.amax(0)).clamp_(min=LOWEST)
                torch.sub(logits, higher, out=terms).clamp_(min=FLOOR).exp_()
                _zero(terms, diagonal, out)
                column_others.mul_((column_max - higher).exp_())
                column_max = higher
            column_others.add_(terms.sum(0))

        own = slice(first, first + count)
        higher = ranks.largest(column_max)
        column_match = torch.zeros_like(column_others)
        column_match[own] = (matches - higher[own]).exp_()
        column_others, column_match, column_count = ranks.total(
            torch.stack((column_others * (column_max - higher).exp_(), column_match, column_count))
        )
        column_count += width - 1
        row_match = (matches - row_max).exp_()
        row_counts, column_counts = (row_count, column_count) if debias else (None, None)
        row = debiased(row_others, row_match, row_counts, (-scale - row_max).exp_(), debias)
        column = debiased(column_others, column_match, column_counts, (-scale - higher).exp_(), debias)
        row_margin = row.others.log() + row_max - matches
        column_margin = (column.others.log() + higher)[own] - matches
        losses = F.softplus(row_margin) + F.softplus(column_margin)

        per_row, per_column = 1 / (row.others + row_match), 1 / (column.others + column_match)
        pull = row_margin.sigmoid_() + column_margin.sigmoid_()
        if row.slope is not None and row.by_match is not None:
            pull += row.by_match * row_match * per_row
            per_row *= row.slope
        if column.slope is not None and column.by_match is not None:
            pull += (column.by_match * column_match * per_column)[own]
            per_column *= column.slope
        ctx.save_for_backward(images, locations, scale, row_max, per_row, higher, per_column, pull, *memory.kept)
        ctx.first, ctx.chunk, ctx.bare, ctx.excluded = first, chunk, bare, excluded
        return ranks.total(losses.sum()) / (2 * width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, locations, scale, row_max, per_row, column_max, per_column, pull, *kept = ctx.saved_tensors
        count, width = len(images), len(locations)
        scaled, factor = images * scale, right_factor(locations)
        to_images, to_locations = torch.empty_like(images), torch.zeros_like(locations)
        logits_memory, terms_memory = (images.new_empty(min(ctx.chunk, count), width) for _ in range(2))

        with torch.autocast(images.device.type, enabled=False):
            for number, rows in enumerate(blocks(count, ctx.chunk)):
                size = rows.stop - rows.start
                scratch, terms = logits_memory[:size], terms_memory[:size]
                out = None if ctx.excluded is None else ctx.excluded.block(rows)
                if number < len(kept):
                    logits = kept[number]  # which a second backward pass will read again
                else:
                    logits = multiply(scaled[rows], locations.T, scratch)
                    if out is not None:
                        logits.masked_fill_(out, -torch.inf)
                    if ctx.bare:
                        logits.exp_()
                if ctx.bare:
                    slopes = torch.add(per_row[rows, None], per_column, out=terms).mul_(logits).clamp_(min=LEAST)
                else:
                    torch.sub(logits, row_max[rows, None], out=terms).clamp_(min=FLOOR).exp_().mul_(per_row[rows, None])
                    slopes = torch.sub(logits, column_max, out=scratch).clamp_(min=FLOOR).exp_()
                    slopes.mul_(per_column).add_(terms)
                if out is not None:
                    slopes.masked_fill_(out, 0)
                slopes.diagonal(ctx.first + rows.start).copy_(-pull[rows])
                multiply(slopes, factor, to_images[rows])
                add_product(to_locations, slopes.T, images[rows])

        share = gradient * (ranks.world_size() / (2 * width))
        to_scale = (images * to_images).sum() * share
        return to_images.mul_(scale * share), to_locations.mul_(scale * share), to_scale, None, None, None, None, None


def _zero(terms: Tensor, diagonal: int, out: Tensor | None) -> None:
    """Let the matches and what is excluded add nothing."""
    terms.diagonal(diagonal).zero_()
    if out is not None:
        terms.masked_fill_(out, 0)


def _needs_no_shift(scale: Tensor) -> bool:
    """Whether exp of any logit, and the sum of any number of them, is an ordinary float32.

    Then one exponential serves both softmaxes. Asked on the CPU only: a GPU would have to stop to answer.
    """
    return scale.device.type == "cpu" and float(scale) <= 70
