"""A small CNN that two laptop cores can train."""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from satclip.vision.freezing import NONE, FreezableTower, fill_backbone, is_frozen
from satclip.vision.images import check_images

LEAST = 16  # pixels a side
CELLS = 2  # a side, of the grid that the head sees


class TinyCNN(FreezableTower):
    """Standardised bands, three strided convolutions, each twice as wide as the one before, and a linear head.

    The head sees the means over four quarters of the image, not over all of it: which side the coast is on tells places
    apart. Bands are standardised by running means, so reflectance of any range will do. With 3 bands and D = 256 it has
    0.22 million weights.

    Args:
        in_channels: bands, any number.
        embedding_dim: D.
        width: channels after the first convolution.
        shrink: pixels averaged into one on each axis beforehand; the cost falls with its square.
        weights: "none" (random), or the path of a checkpoint of a training with this tower; its head is left out.
        frozen: whether only the head learns; "auto" freezes all weights but random ones.

    Raises:
        ValueError: `shrink` leaves fewer than 4 pixels a side of the smallest image, `frozen` with random weights, or
            the checkpoint is of another tower.
        FileNotFoundError: there is no such checkpoint.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        embedding_dim: int,
        width: int = 32,
        shrink: int = 2,
        weights: str | Path = NONE,
        frozen: bool | str = "auto",
    ) -> None:
        super().__init__()
        freezing = is_frozen(weights, frozen)
        if not 1 <= shrink <= LEAST // 4:
            raise ValueError(f"shrink must be 1 to {LEAST // 4}, got {shrink}")
        self.in_channels = in_channels
        self.embedding_dim = embedding_dim
        widths = [in_channels, width, 2 * width, 4 * width]
        self.shrunk = shrink
        self.shrink = nn.AvgPool2d(shrink)
        self.standardise = nn.BatchNorm2d(in_channels, affine=False)
        self.stages = nn.Sequential(*(_stage(before, after) for before, after in pairwise(widths)))
        self.pool = nn.AdaptiveAvgPool2d(CELLS)
        self.head = nn.Linear(widths[-1] * CELLS**2, embedding_dim)
        self.to(memory_format=torch.channels_last)  # a quarter faster on a CPU than channels first
        if weights != NONE:
            fill_backbone(self, Path(weights))
        if freezing:
            self.freeze()

    def features_name(self) -> str:
        """With what its weights do not say: how far images are shrunk."""
        return f"tiny shrinking by {self.shrunk}"

    def features(self, images: Tensor) -> Tensor:
        """What the head sees: [B, in_channels, H, W] of at least 16 x 16 pixels -> [B, 16 width].

        Raises:
            ValueError: the images have another number of bands or are too small.
        """
        check_images(images, self.in_channels, least=LEAST)
        images = self.shrink(images.contiguous(memory_format=torch.channels_last))
        features: Tensor = self.pool(self.stages(self.standardise(images))).flatten(1)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] of at least 16 x 16 pixels -> [B, embedding_dim].

        Raises:
            ValueError: the images have another number of bands or are too small.
        """
        embedding: Tensor = self.head(self.features(images))
        return embedding


def _stage(in_channels: int, out_channels: int) -> nn.Module:
    """Half the side, another width. No bias: the normalisation brings its own."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
