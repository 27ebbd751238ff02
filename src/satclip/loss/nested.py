"""A contrastive loss over prefixes of the embeddings, so that the first numbers alone are an embedding."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from satclip.loss.inputs import sees_images, sources_of


class NestedLoss(nn.Module):
    """sum_k w_k loss(first d_k numbers of both embeddings) / sum_k w_k: Matryoshka learning (arXiv 2205.13147).

    Each prefix is compared by its own cosines, so it is an embedding once it is brought to length 1 again. The weights
    of the paper are equal. With `dims` of the whole width alone this is the inner loss.

    Args:
        loss: any loss of two embeddings, contrastive ones above all.
        embedding_dim: D, the whole width; always one of the prefixes.
        dims: the prefixes, ascending; those that are not below D are left out, so that one list suits every width.
        weights: of the prefixes in `dims` and, last, of the whole; equal where None.

    Raises:
        ValueError: the prefixes do not ascend from 1, or none is below D; the weights are not as many, or negative, or
            all 0; the inner loss does not look at images.
    """

    def __init__(
        self, loss: nn.Module, *, embedding_dim: int, dims: Sequence[int], weights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if list(dims) != sorted(set(dims)) or not dims or dims[0] < 1:
            raise ValueError(f"loss.dims must ascend from 1 or more, got {list(dims)}")
        if dims[0] >= embedding_dim:
            raise ValueError(
                f"loss.dims={list(dims)} has no prefix of embedding_dim={embedding_dim}; give a smaller one"
            )
        self.dims = (*(dim for dim in dims if dim < embedding_dim), embedding_dim)
        given = [1.0] * len(self.dims) if weights is None else list(weights)
        if len(given) != len(self.dims) or any(not 0 <= each < math.inf for each in given) or not sum(given):
            raise ValueError(
                f"loss.weights takes {len(self.dims)} numbers of 0 or more, one for each of the prefixes "
                f"{', '.join(map(str, self.dims))}, not all 0; got {given}"
            )
        if not sees_images(loss):
            raise ValueError("loss.loss must compare images and locations; a regression has no prefixes")
        self.weights = [weight / sum(given) for weight in given]
        self.loss = loss
        self.inputs = sources_of(loss)

    def forward(
        self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor, **asked: Tensor
    ) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are).

        Args:
            image_embeddings: [B, D], not normalised.
            location_embeddings: [B, D], not normalised.
            logit_scale: ln(1 / temperature).
            asked: what the inner loss asks for.

        Raises:
            ValueError: the embeddings are of another width, or the inner loss gives several terms.
        """
        if image_embeddings.shape[-1] != self.dims[-1]:
            raise ValueError(
                f"loss.embedding_dim={self.dims[-1]}, and embeddings have {image_embeddings.shape[-1]} numbers; "
                "give the embedding_dim of the towers"
            )
        terms: list[Tensor] = []
        for dim, weight in zip(self.dims, self.weights, strict=True):
            term = self.loss(image_embeddings[:, :dim], location_embeddings[:, :dim], logit_scale, **asked)
            if not isinstance(term, Tensor):
                raise ValueError("loss.loss gives several terms; put the nested loss inside loss=combined instead")
            terms.append(weight * term)
        return sum(terms[1:], terms[0])


def prefixes_of(loss: nn.Module) -> tuple[int, ...]:
    """The prefixes that a loss makes embeddings of their own, the whole width last; none where it is not nested."""
    return next((module.dims for module in loss.modules() if isinstance(module, NestedLoss)), ())
