"""The contrastive loss with targets softened by how alike the pictures are, by blocks of rows."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from satclip import ranks
from satclip.loss.block_memory import BlockMemory
from satclip.loss.clip import ClipLoss
from satclip.loss.inputs import FEATURES
from satclip.loss.negatives import EMBEDDING, centred_units
from satclip.loss.pairs import FLOOR, Pairs, at_least_one, blocks, pair
from satclip.products import add_product, multiply, right_factor
from satclip.sphere import EARTH_RADIUS_KM, unit_vectors

Likeness = Literal["embedding", "features", "sphere"]
ARGUMENTS: dict[Likeness, tuple[str, ...]] = {"embedding": (), "features": ("image_features",), "sphere": ("lonlat",)}


class SoftClipLoss(nn.Module):
    """Cross-entropy against (1 - a) I + a S in both directions, averaged; S says which pictures are alike.

    S_ij = softmax over j of <u_i, u_j> / T, without gradient, over the batch of all ranks. Two patches of one desert
    are then no longer opposites: the encoder is asked to see them as alike as their pictures are. With a = 0 this is
    `ClipLoss`. Soft targets for CLIP are in the literature as SoftCLIP (arXiv 2303.17561) and as the in-batch
    distillation of CLIP-KD; the likeness by own embeddings needs no teacher.

    Since the targets are constants, the loss is `ClipLoss` plus a term that is linear in the logits l,
    a / 2N * (2 sum_i l_ii - sum_ij S_ij (l_ij + l_ji)), whose gradients are two matrix products. Memory, ranks and
    precision are those of `ClipLoss`.

    Called as `loss(image_embeddings [B, D], location_embeddings [B, D], logit_scale)` and with what `inputs` names.

    Args:
        softness: a, from 0 (one-hot targets) to 1.
        likeness: what the pictures' likeness is told by. "embedding": the image tower's own embeddings, centred over
            the batch. "features": the features that the image tower's head works on, centred; for frozen backbones.
            "sphere": the distance of the places, a Gaussian-like kernel of width `likeness_km`.
        features: where those come from, see `satclip.loss.inputs.sources_of`.
        likeness_temperature: T, for embedding and features.
        likeness_km: standard deviation of the kernel on the sphere, T = (likeness_km / Earth's radius)^2.
        chunk: rows of the matrices worked on at once.
        exclude_within_km: of the denominators, as the next three; see `Negatives`. The targets stay.
        exclude_alike: see `Negatives`.
        alike_by: see `Negatives`.
        debias: see `Negatives`.

    Raises:
        ValueError: an argument is out of its bounds.
    """

    def __init__(
        self,
        *,
        softness: float = 0.9,
        likeness: Likeness = "embedding",
        features: str = FEATURES,
        likeness_temperature: float = 0.1,
        likeness_km: float = 500.0,
        chunk: int = 512,
        exclude_within_km: float = 0.0,
        exclude_alike: float | None = None,
        alike_by: str = EMBEDDING,
        debias: float = 0.0,
    ) -> None:
        super().__init__()
        at_least_one(chunk=chunk)
        if not 0 <= softness <= 1:
            raise ValueError(f"loss.softness must be from 0 (one-hot targets) to 1, got {softness}")
        if likeness not in ARGUMENTS:
            raise ValueError(f"loss.likeness must be one of {', '.join(ARGUMENTS)}, got {likeness!r}")
        for name, value in (("likeness_temperature", likeness_temperature), ("likeness_km", likeness_km)):
            if not 0 < value < math.inf:
                raise ValueError(f"loss.{name} must be positive, got {value}")
        self.softness = softness
        self.likeness = likeness
        self.temperature = (likeness_km / EARTH_RADIUS_KM) ** 2 if likeness == "sphere" else likeness_temperature
        self.chunk = chunk
        self.inputs = {name: features if likeness == "features" else name for name in ARGUMENTS[likeness]}
        self.one_hot = ClipLoss(
            chunk=chunk,
            exclude_within_km=exclude_within_km,
            exclude_alike=exclude_alike,
            alike_by=alike_by,
            debias=debias,
        )
        self.inputs |= self.one_hot.inputs

    def forward(
        self,
        image_embeddings: Tensor,
        location_embeddings: Tensor,
        logit_scale: Tensor,
        *,
        image_features: Tensor | None = None,
        lonlat: Tensor | None = None,
        **given: Tensor,
    ) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are).

        Args:
            image_embeddings: [B, D], not normalised.
            location_embeddings: [B, D], not normalised.
            logit_scale: ln(1 / temperature).
            image_features: [B, K], for likeness="features".
            lonlat: degrees [B, 2], for likeness="sphere" and `exclude_within_km`.
            given: `alike_by`, where that is a source.
        """
        if lonlat is not None and "lonlat" in self.one_hot.inputs:
            given = {**given, "lonlat": lonlat}
        loss: Tensor = self.one_hot(image_embeddings, location_embeddings, logit_scale, **given)
        if self.softness == 0:
            return loss
        with torch.autocast(image_embeddings.device.type, enabled=False):
            pairs = pair(image_embeddings, location_embeddings, logit_scale)
            told_by = {"embedding": image_embeddings, "features": image_features, "sphere": lonlat}[self.likeness]
            if told_by is None:
                (name,) = ARGUMENTS[self.likeness]
                raise TypeError(f"likeness={self.likeness} needs {name}; call the loss with {name}=")
            units = self._units(told_by.detach(), pairs)
            pull: Tensor = _Pull.apply(pairs.images, pairs.locations, units, pairs.first, self.temperature, self.chunk)
            return loss + self.softness / (2 * len(units)) * pairs.scale * pull

    def _units(self, told_by: Tensor, pairs: Pairs) -> Tensor:
        """Unit vectors of all ranks whose products are the likeness: [B, K] -> [N, K]."""
        dtype = pairs.images.dtype
        if self.likeness == "sphere":
            return ranks.gather(unit_vectors(told_by).to(dtype))
        return centred_units(told_by, dtype)


class _Pull(torch.autograd.Function):
    """sum_i <x_i, 2 y_i - sum_j (S_ij + S_ji) y_j> over the rows of all ranks: zero where likeness and match agree.

    The diagonal of 2 I - S - S' is written by the sum of the others, so that targets near the match keep their digits.
    """

    @staticmethod
    def forward(
        ctx: Any, images: Tensor, locations: Tensor, units: Tensor, first: int, temperature: float, chunk: int
    ) -> Tensor:
        count, width = len(images), len(locations)
        own = slice(first, first + count)
        ones = units.new_ones(width, 1)
        right = torch.cat((units, ones), 1).T  # so that one product gives (<u_i, u_j> - 1) / T
        left = torch.cat((units[own], -ones[own]), 1) / temperature
        memory = BlockMemory(images, min(chunk, count), width, keep=True)
        sums_memory, others = images.new_empty(min(chunk, count), width), images.new_empty(count)
        for rows in blocks(count, chunk):
            kernel = _others(left[rows], right, first + rows.start, memory.block(rows))
            torch.sum(kernel, 1, out=others[rows])
        share = 1 / (1 + others)  # of the picture itself in its own softmax
        shares, factor = ranks.gather(share), right_factor(locations)

        to_images, to_locations = torch.empty_like(images), torch.zeros_like(locations)
        kept = [*memory.kept]
        for number, rows in enumerate(blocks(count, chunk)):
            diagonal = first + rows.start
            known = number < len(kept)
            kernel = kept[number] if known else _others(left[rows], right, diagonal, memory.block(rows))
            soft = torch.add(share[rows, None], shares, out=sums_memory[: len(kernel)]).mul_(kernel)
            soft.diagonal(diagonal).copy_(-2 * others[rows] * share[rows])
            multiply(soft, factor, to_images[rows])
            add_product(to_locations, soft.T, images[rows])
        to_images.neg_()
        to_locations.neg_()
        ctx.save_for_backward(to_images, to_locations)
        return ranks.total((images * to_images).sum())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        share = gradient * ranks.world_size()  # DDP averages
        to_images, to_locations = ctx.saved_tensors
        return to_images * share, to_locations * share, None, None, None, None


def _others(left: Tensor, right: Tensor, diagonal: int, memory: Tensor) -> Tensor:
    """exp of the product of some rows, 0 on the diagonal: [rows, K], [K, N] -> [rows, N], in `memory`."""
    kernel = multiply(left, right, memory).clamp_(min=FLOOR).exp_()
    kernel.diagonal(diagonal).zero_()
    return kernel
