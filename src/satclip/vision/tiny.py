"""A small CNN that two laptop cores can train."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from satclip.vision.images import check_images


class TinyCNN(nn.Module):
    """Four strided convolutions, each twice as wide as the one before, then the mean over the image and a linear head.

    With 3 bands and D = 256 it has 0.45 million weights.

    Args:
        in_channels: bands, any number.
        embedding_dim: D.
        width: channels after the first convolution.
    """

    least = 16

    def __init__(self, *, in_channels: int, embedding_dim: int, width: int = 32) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.embedding_dim = embedding_dim
        widths = [in_channels, width, 2 * width, 4 * width, 8 * width]
        self.stages = nn.Sequential(*(_stage(before, after) for before, after in pairwise(widths)))
        self.head = nn.Linear(widths[-1], embedding_dim)
        self.to(memory_format=torch.channels_last)  # a quarter faster on a CPU than channels first

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] of at least 16 x 16 pixels -> [B, embedding_dim].

        Raises:
            ValueError: the images have another number of bands or are too small.
        """
        check_images(images, self.in_channels, least=self.least)
        images = images.contiguous(memory_format=torch.channels_last)
        embedding: Tensor = self.head(self.stages(images).mean((-2, -1)))
        return embedding


def _stage(in_channels: int, out_channels: int) -> nn.Module:
    """Half the side, another width. No bias: the normalisation brings its own."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))
