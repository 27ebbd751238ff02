"""What a picture is like, by no training: colours and texture about its centre, and a likeness of them."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satclip.vision.images import check_images

FAR = 4.0  # deviations: a statistic beyond is taken for one there


class StatisticsTower(nn.Module):
    """Random Fourier features of the standardised colours and textures in nested windows about an image's centre.

    Of each band in each window: the mean, the standard deviation, and the mean absolute difference of neighbours down
    and across. Bands of several scales (`dataset.scales`) so give windows from one pixel's ground to a region's.
    Standardised by running means over the batches, s, they become

        z = (cos a_k, sin a_k),   a_k = <w_k, s> / (length_scale sqrt(K)),

    for K statistics, and are standardised once more. With normal w_k the inner products of z are in proportion to the
    Gaussian kernel exp(-|s - t|^2 / (2 length_scale^2 K)) but for the error of drawing (Rahimi and Recht 2007, NeurIPS
    20), which is smaller where the w_k of K waves are orthogonal (Yu et al. 2016, arXiv 1610.09072): images are alike
    where all their statistics are. Nothing here learns, so a location tower that is trained to give these numbers
    (`loss=match`) cannot tell apart what looks alike.

    The numbers behind the first `features` are zero: the place of what passes by the location network (`skip_degrees`),
    of which a picture knows nothing.

    Args:
        in_channels: bands.
        embedding_dim: D.
        features: cosines and sines together, D at most.
        windows: their sides, in shares of the image's.
        length_scale: of the kernel, in root-mean-square deviations.
        draw: seed of w, which is part of the weights.

    Raises:
        ValueError: there is no window, one is no share of a side, or `features` does not fit.
    """

    frozen = True
    waves: Tensor

    def __init__(
        self,
        *,
        in_channels: int,
        embedding_dim: int,
        features: int,
        windows: Sequence[float] = (0.25, 0.5, 1.0),
        length_scale: float = 0.8,
        draw: int = 0,
    ) -> None:
        super().__init__()
        self.windows = tuple(windows)
        if not self.windows or not all(0 < share <= 1 for share in self.windows):
            raise ValueError(f"vision.windows are shares of an image's side, 0 to 1, got {list(self.windows)}")
        if not 1 <= features <= embedding_dim:
            raise ValueError(
                f"vision.features={features} must be 1 to embedding_dim={embedding_dim}; with skip_degrees=K the last "
                "K^2 - 1 numbers of the embedding are the skip's"
            )
        if not 0 < length_scale < math.inf:
            raise ValueError(f"vision.length_scale must be a positive number, got {length_scale}")
        self.in_channels, self.embedding_dim, self.numbers, self.length_scale = (
            in_channels, embedding_dim, features, length_scale,
        )  # fmt: skip
        count = 4 * in_channels * len(self.windows)
        self.standardise = nn.BatchNorm1d(count, affine=False)
        self.centre = nn.BatchNorm1d(features, affine=False)
        self.register_buffer("waves", _orthogonal(-(-features // 2), count, draw) / (length_scale * math.sqrt(count)))

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W], a window no narrower than two pixels -> [B, embedding_dim].

        Raises:
            ValueError: the images have another number of bands or are too small.
        """
        return self.head(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The statistics themselves, which follow from the image alone: [B, in_channels, H, W] -> [B, 4 C W].

        Raises:
            ValueError: the images have another number of bands or are too small.
        """
        check_images(images, self.in_channels, least=math.ceil(2 / min(self.windows)))
        return self.statistics(images)

    def features_name(self) -> str:
        """With the windows, of which alone they depend."""
        return f"statistics of {self.in_channels} bands in windows of {', '.join(f'{each:g}' for each in self.windows)}"

    def features_weights(self) -> Mapping[str, Tensor]:
        """None."""
        return {}

    def head(self, features: Tensor) -> Tensor:
        """From the statistics to their likeness: [B, 4 C W] -> [B, embedding_dim]."""
        statistics = self.standardise(features).clamp(-FAR, FAR)
        angle = F.linear(statistics, self.waves)
        numbers: Tensor = self.centre(torch.cat((angle.cos(), angle.sin()), 1)[:, : self.numbers])
        return F.pad(numbers, (0, self.embedding_dim - self.numbers))

    def statistics(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 4 C W]: for each window means, deviations and mean differences down and across."""
        found: list[Tensor] = []
        height, width = images.shape[2:]
        for share in self.windows:
            tall, wide = round(share * height), round(share * width)
            top, left = (height - tall) // 2, (width - wide) // 2
            window = images[:, :, top : top + tall, left : left + wide]
            found.append(window.mean((2, 3)))
            found.append(window.std((2, 3), correction=0))
            found.append(window.diff(dim=2).abs().mean((2, 3)))
            found.append(window.diff(dim=3).abs().mean((2, 3)))
        return torch.cat(found, 1)


def _orthogonal(rows: int, columns: int, draw: int) -> Tensor:
    """Normal rows that are orthogonal within each block of `columns` of them: float32 [rows, columns], on the CPU."""
    generator = np.random.default_rng(draw)
    blocks = []
    for _ in range(-(-rows // columns)):
        turned = np.linalg.qr(generator.normal(size=(columns, columns)))[0]
        blocks.append(turned * np.sqrt(generator.chisquare(columns, (columns, 1))))
    return torch.from_numpy(np.concatenate(blocks)[:rows].astype(np.float32))
