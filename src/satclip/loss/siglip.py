"""Sigmoid loss: every pair of the batch is a question of its own, match or no match."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from satclip import ranks
from satclip.loss.block_memory import BlockMemory
from satclip.loss.pairs import FLOOR, at_least_one, blocks, pair
from satclip.products import add_product, multiply, right_factor


class SigLipLoss(nn.Module):
    """The loss of SigLIP (arXiv 2303.15343): log-sigmoid of every similarity, summed over pairs, per row.

    Called like `ClipLoss`, with the same ranks, gradients, memory and precision. The paper starts the temperature at
    0.1 and the learned bias at -10, so that the many negatives do not outweigh the first steps.

    Args:
        chunk: rows of the similarity matrix worked on at once.
        bias: where the learned bias starts.
    """

    def __init__(self, *, chunk: int = 512, bias: float = -10.0) -> None:
        super().__init__()
        at_least_one(chunk=chunk)
        self.chunk = chunk
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    def forward(self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are)."""
        with torch.autocast(image_embeddings.device.type, enabled=False):
            pairs = pair(image_embeddings, location_embeddings, logit_scale)
            bias = self.bias.to(pairs.images.dtype)
            loss: Tensor = _PairwiseSigmoid.apply(*pairs, bias, self.chunk, torch.is_grad_enabled())
        return loss


class _PairwiseSigmoid(torch.autograd.Function):
    """sum_ij log(1 + exp(-z_ij logit_ij)) / N, z = 1 on the diagonal and -1 elsewhere, by blocks of rows."""

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, locations: Tensor, scale: Tensor, first: int, bias: Tensor, chunk: int, keep: bool
    ) -> Tensor:
        count, width = len(images), len(locations)
        scaled = images * scale
        losses = images.new_empty(count)
        memory = BlockMemory(images, min(chunk, count), width, keep=keep)
        for rows in blocks(count, chunk):
            logits = multiply(scaled[rows], locations.T, memory.block(rows)).add_(bias)
            logits.diagonal(first + rows.start).neg_()
            torch.sum(F.softplus(logits.clamp_(min=FLOOR)), 1, out=losses[rows])

        ctx.save_for_backward(images, locations, scale, bias, *memory.kept)
        ctx.first, ctx.chunk = first, chunk
        return ranks.total(losses.sum()) / width

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, locations, scale, bias, *kept = ctx.saved_tensors
        count, width = len(images), len(locations)
        scaled, factor = images * scale, right_factor(locations)
        to_images, to_locations = torch.empty_like(images), torch.zeros_like(locations)
        to_bias = images.new_empty(count)
        memory = images.new_empty(min(ctx.chunk, count), width)

        with torch.autocast(images.device.type, enabled=False):
            for number, rows in enumerate(blocks(count, ctx.chunk)):
                slopes = memory[: rows.stop - rows.start]
                if number < len(kept):
                    torch.sigmoid(kept[number], out=slopes)
                else:
                    multiply(scaled[rows], locations.T, slopes).add_(bias)
                    slopes.diagonal(ctx.first + rows.start).neg_()
                    slopes.clamp_(min=FLOOR).sigmoid_()
                slopes.diagonal(ctx.first + rows.start).neg_()
                torch.sum(slopes, 1, out=to_bias[rows])
                multiply(slopes, factor, to_images[rows])
                add_product(to_locations, slopes.T, images[rows])

        share = gradient * (ranks.world_size() / width)
        to_scale = (images * to_images).sum() * share
        return (
            to_images.mul_(scale * share),
            to_locations.mul_(scale * share),
            to_scale,
            None,
            to_bias.sum() * share,
            None,
            None,
        )
