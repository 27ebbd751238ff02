"""Learning what a picture is like instead of which picture it is: regression of vectors that come with each place."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satclip.loss.pairs import EPSILON
from satclip.loss.rows import mean_over_ranks
from satclip.loss.standardise import Standard, Standardise


class RegressionLoss(nn.Module):
    """Distance of a linear map of the location embedding to a vector of the place: an image's features, or a teacher's.

    cosine * (1 - cos(W y + b, t)) + mse * mean over channels of (W y + b - t)^2, averaged over the places of all ranks,
    where t is the standardised target without gradient and W, b are learned with the encoder. This is the recipe of
    MIND (arXiv 2609.25454), which distils four teachers by cosine and MSE with standardised targets; `CombinedLoss`
    adds up several teachers, or adds one to a contrastive loss. The image embeddings are not looked at: alone, this
    loss trains no image tower and needs no pass through it.

    A place whose target is NaN throughout has no teacher and does not count. One that is NaN in part makes the loss
    NaN.

    Args:
        embedding_dim: D of the location embedding.
        target_dim: K of the target.
        target: where it comes from, see `satclip.loss.inputs.sources_of`.
        cosine: weight of the one minus the cosine.
        mse: weight of the mean square error.
        standardise: the target's scale, see `Standardise`.

    Raises:
        ValueError: a dimension is below 1, or the weights are negative or both 0.
    """

    sees_images = False

    def __init__(
        self,
        *,
        embedding_dim: int,
        target_dim: int,
        target: str = "image_statistics",
        cosine: float = 1.0,
        mse: float = 1.0,
        standardise: Standard = "phi",
    ) -> None:
        super().__init__()
        if min(embedding_dim, target_dim) < 1:
            raise ValueError(
                f"loss.embedding_dim and loss.target_dim must be at least 1, got {embedding_dim} and {target_dim}; "
                "dataset.image_statistics=[1,4] makes image statistics"
            )
        if not (0 <= cosine < math.inf and 0 <= mse < math.inf and cosine + mse > 0):
            raise ValueError(f"loss.cosine and loss.mse must be 0 or more and not both 0, got {cosine} and {mse}")
        self.inputs = {"target": target}
        self.cosine, self.mse = cosine, mse
        self.head = nn.Linear(embedding_dim, target_dim)
        self.standardise = Standardise(target_dim, standardise)

    def forward(
        self, image_embeddings: Tensor | None, location_embeddings: Tensor, logit_scale: Tensor, *, target: Tensor
    ) -> Tensor:
        """The scalar loss, in float32 (float64 if the embeddings are): `target` is [B, K].

        Raises:
            ValueError: the target has another shape, or no place of the training has had one so far.
        """
        source, dim = self.inputs["target"], self.head.out_features
        if target.ndim != 2 or target.shape[1] != dim or len(target) != len(location_embeddings):
            raise ValueError(
                f"{source} is {list(target.shape)} for {len(location_embeddings)} places, and loss.target_dim is "
                f"{dim}; give loss.target_dim={target.shape[-1] if target.ndim == 2 else 'K'} to vectors [B, K]"
            )
        with torch.autocast(target.device.type, enabled=False):
            dtype = torch.promote_types(location_embeddings.dtype, torch.float32)
            target = target.detach().to(dtype)
            there = ~target.isnan().all(1)
            found = self.standardise(target.where(there[:, None], 0.0), there)
            if self.training and self.standardise.kind != "none" and not bool(self.standardise.count):
                raise ValueError(f"{source} is NaN at every place of the batch; give vectors of these places")
            guess = F.linear(location_embeddings.to(dtype), self.head.weight.to(dtype), self.head.bias.to(dtype))
            rows = self.mse * (guess - found).square().mean(1)
            if self.cosine:
                rows = rows + self.cosine * (1 - F.cosine_similarity(guess, found, dim=1, eps=EPSILON))
            return mean_over_ranks(rows, there)
