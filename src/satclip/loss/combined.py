"""A sum of named losses, each with its weight, each logged by its name."""

import math
from collections.abc import Mapping

from torch import Tensor, nn

from satclip.loss.inputs import given_to, sees_images, sources_of


class CombinedLoss(nn.Module):
    """sum_k weight_k * loss_k, given back as the weighted terms by name, which the training step adds up and logs.

    Each loss is given what its own `inputs` ask for.

    Args:
        losses: by name.
        weights: of those that do not count once.

    Raises:
        ValueError: there is no loss, a name cannot be a metric's, or a weight is of no loss, negative or infinite.
    """

    def __init__(self, losses: Mapping[str, nn.Module], weights: Mapping[str, float] | None = None) -> None:
        super().__init__()
        weights = dict(weights or {})
        if not losses:
            raise ValueError("loss.losses is empty; name one loss at least")
        if wrong := [name for name in losses if not str(name).isidentifier()]:
            raise ValueError(f"loss.losses: {', '.join(wrong)} cannot name a metric; letters, digits and _ can")
        if unknown := [name for name in weights if name not in losses]:
            raise ValueError(f"loss.weights of {', '.join(unknown)}: the losses are {', '.join(losses)}")
        for name, weight in weights.items():
            if not 0 <= weight < math.inf:
                raise ValueError(f"loss.weights.{name} must be 0 or more, got {weight}")
        self.losses = nn.ModuleDict(losses)
        self.weights = {name: float(weights.get(name, 1.0)) for name in losses}
        self.inputs = {source: source for loss in self.losses.values() for source in sources_of(loss).values()}
        self.sees_images = any(sees_images(loss) for loss in self.losses.values())

    def forward(
        self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor, **asked: Tensor
    ) -> dict[str, Tensor]:
        """The weighted terms, scalars in float32 (float64 if the embeddings are); of a loss of several, each by itself.

        Args:
            image_embeddings: [B, D], not normalised.
            location_embeddings: [B, D], not normalised.
            logit_scale: ln(1 / temperature).
            asked: what `inputs` name.
        """
        terms: dict[str, Tensor] = {}
        for name, loss in self.losses.items():
            found = loss(image_embeddings, location_embeddings, logit_scale, **given_to(loss, asked))
            parts = found if isinstance(found, Mapping) else {"": found}
            for part, term in parts.items():
                terms[f"{name}/{part}" if part else name] = self.weights[name] * term
        return terms
