"""A location that gives the numbers of its picture: no negatives, so what looks alike may stay alike."""

import torch
from torch import Tensor, nn

from satclip.loss.rows import mean_over_ranks


class MatchLoss(nn.Module):
    """Mean square difference of the first `features` numbers of a place's and its picture's embedding, over all ranks.

    For an image tower that does not learn, such as `StatisticsTower`: one that does would give all pictures the same
    numbers. The location tower learns the mean of what is seen about a place, E[z | place], as every least-squares fit;
    inner products of such means are a kernel again, that of the kernel mean embedding (Muandet et al. 2017, Foundations
    and Trends in Machine Learning 10). So what the tower cannot tell of a place weighs less.

    Args:
        features: the numbers that the image tower gives; those behind them are not looked at.

    Raises:
        ValueError: there are none.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        if features < 1:
            raise ValueError(f"loss.features must be at least 1, got {features}")
        self.features = features

    def forward(self, image_embeddings: Tensor, location_embeddings: Tensor, logit_scale: Tensor) -> Tensor:
        """[B, D], [B, D] -> the scalar loss, in float32 (float64 if the embeddings are). The scale has no part in it.

        Raises:
            ValueError: the embeddings are not two equal [B, D] with D at least `features`.
        """
        shape = image_embeddings.shape
        if len(shape) != 2 or shape != location_embeddings.shape or shape[1] < self.features:
            raise ValueError(
                f"expected image and location embeddings of one shape [B, D], D at least {self.features}, got "
                f"{list(shape)} and {list(location_embeddings.shape)}; both towers need the same embedding_dim"
            )
        dtype = torch.promote_types(
            torch.promote_types(image_embeddings.dtype, location_embeddings.dtype), torch.float32
        )
        images, locations = (each[:, : self.features].to(dtype) for each in (image_embeddings, location_embeddings))
        return mean_over_ranks((locations - images).square().mean(1))
