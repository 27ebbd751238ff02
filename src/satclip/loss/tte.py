"""The objective of TTE: contrastive, with two terms that tie places and pictures to one set of semantic tokens."""

import math

from torch import Tensor, nn

from satclip.loss.clip import ClipLoss
from satclip.loss.inputs import AUXILIARY
from satclip.loss.rows import mean_over_ranks


class TTELoss(nn.Module):
    """`ClipLoss` + 100 `reconstruction` + 0.1 `alignment` (arXiv 2606.27514), as named parts.

    For le_type=voronoi, whose `with_auxiliary` says what the terms are: how well a picture is put together from the
    tokens that it attends to, and how far from that lies what its place attends to. Both are means over places, of all
    ranks; in TTE as it was published each GPU's negatives are its own.

    Args:
        reconstruction: weight of the first term.
        alignment: weight of the second.
        chunk: see `ClipLoss`.

    Raises:
        ValueError: a weight is negative or no number.
    """

    def __init__(self, *, reconstruction: float = 100.0, alignment: float = 0.1, chunk: int = 512) -> None:
        super().__init__()
        for name, value in (("reconstruction", reconstruction), ("alignment", alignment)):
            if not 0 <= value < math.inf:
                raise ValueError(f"loss.{name} must be 0 or more, got {value}")
        self.weights = {"reconstruction": reconstruction, "alignment": alignment}
        self.inputs = {name: f"{AUXILIARY}{name}" for name in self.weights}
        self.clip = ClipLoss(chunk=chunk)

    def forward(
        self,
        image_embeddings: Tensor,
        location_embeddings: Tensor,
        logit_scale: Tensor,
        *,
        reconstruction: Tensor,
        alignment: Tensor,
    ) -> dict[str, Tensor]:
        """The three parts, whose sum is the loss: embeddings [B, D] not normalised, both terms [B]."""
        clip: Tensor = self.clip(image_embeddings, location_embeddings, logit_scale)
        terms = {"reconstruction": reconstruction, "alignment": alignment}
        parts = {name: self.weights[name] * mean_over_ranks(rows.to(clip.dtype)) for name, rows in terms.items()}
        return {"clip": clip, **parts}
