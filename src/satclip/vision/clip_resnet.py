"""The modified ResNet of CLIP (Radford et al. 2021, arXiv 2103.00020), with the published parameter names."""

from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satclip.vision.images import check_images

EXPANSION = 4  # a bottleneck gives out four times the width it works in


class ClipResNet(nn.Module):
    """Three convolutions as the stem, bottlenecks whose strides are average pools, attention as the last pool.

    Args:
        in_channels: bands.
        embedding_dim: D.
        image_size: side of the images in pixels; the features are at 1/32 of it.
        layers: number of bottlenecks in each of the four stages; (3, 4, 6, 3) is a ResNet-50.
        width: channels after the stem.
        heads: attention heads of the last pool; 64 features a head where not given.

    Raises:
        ValueError: there are not four stages, the image is under 32 pixels, or the heads do not divide the width.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        embedding_dim: int,
        image_size: int = 224,
        layers: Sequence[int] = (3, 4, 6, 3),
        width: int = 64,
        heads: int | None = None,
    ) -> None:
        super().__init__()
        features = width * 8 * EXPANSION
        heads = heads or max(1, features // 64)
        if len(layers) != 4 or min(layers) < 1:
            raise ValueError(
                f"layers must be four block counts of at least 1, such as (3, 4, 6, 3), got {tuple(layers)}"
            )
        if image_size < 32:
            raise ValueError(f"image_size must be at least 32, got {image_size}; vision=tiny takes smaller images")
        if width % 2 or features % heads:
            raise ValueError(f"width must be even and 32 width a multiple of the {heads} heads, got width {width}")
        self.in_channels = in_channels
        self.embedding_dim = embedding_dim
        self.image_size = image_size
        self.conv1 = nn.Conv2d(in_channels, width // 2, kernel_size=3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, kernel_size=3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, layers[0], stride=1)
        self.layer2 = _stage(EXPANSION * width, 2 * width, layers[1], stride=2)
        self.layer3 = _stage(EXPANSION * 2 * width, 4 * width, layers[2], stride=2)
        self.layer4 = _stage(EXPANSION * 4 * width, 8 * width, layers[3], stride=2)
        self.attnpool = _AttentionPool(image_size // 32, features, heads, embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, image_size, image_size] -> [B, embedding_dim].

        Raises:
            ValueError: the images have another number of bands or another size.
        """
        return self.head(self.features(images))

    def head(self, features: Tensor) -> Tensor:
        """[B, 32 width] -> [B, embedding_dim]."""
        embedding: Tensor = self.attnpool.c_proj(features)
        return embedding

    def features(self, images: Tensor) -> Tensor:
        """What the last projection sees: [B, in_channels, image_size, image_size] -> [B, 32 width].

        Raises:
            ValueError: the images have another number of bands or another size.
        """
        check_images(images, self.in_channels, exact=self.image_size)
        features = F.relu(self.bn1(self.conv1(images)))
        features = F.relu(self.bn2(self.conv2(features)))
        features = F.avg_pool2d(F.relu(self.bn3(self.conv3(features))), 2)
        features = self.layer4(self.layer3(self.layer2(self.layer1(features))))
        pooled: Tensor = self.attnpool(features)
        return pooled


def _stage(in_channels: int, width: int, blocks: int, *, stride: int) -> nn.Sequential:
    rest = (_Bottleneck(EXPANSION * width, width) for _ in range(1, blocks))
    return nn.Sequential(_Bottleneck(in_channels, width, stride), *rest)


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut; a stride is an average pool, so nothing aliases."""

    def __init__(self, in_channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        out_channels = EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, out_channels, kernel_size=1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        nn.init.zeros_(self.bn3.weight)  # a block starts as its shortcut (Goyal et al. 2017)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            shortcut = nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False)
            pool = nn.AvgPool2d(stride)
            self.downsample = nn.Sequential(OrderedDict({"-1": pool, "0": shortcut, "1": nn.BatchNorm2d(out_channels)}))

    def forward(self, features: Tensor) -> Tensor:
        change = F.relu(self.bn1(self.conv1(features)))
        change = self.pool(F.relu(self.bn2(self.conv2(change))))
        return F.relu(self.bn3(self.conv3(change)) + self.downsample(features))


class _AttentionPool(nn.Module):
    """One query, the mean of all cells, attends to itself and the cells: [B, F, S, S] -> [B, F].

    The projection to the embedding, `c_proj`, has its published place here and is applied by the tower's head.
    """

    def __init__(self, side: int, features: int, heads: int, embedding_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.randn(side**2 + 1, features) / features**0.5)
        self.q_proj = nn.Linear(features, features)
        self.k_proj = nn.Linear(features, features)
        self.v_proj = nn.Linear(features, features)
        self.c_proj = nn.Linear(features, embedding_dim)
        for projection in (self.q_proj, self.k_proj, self.v_proj, self.c_proj):
            nn.init.normal_(projection.weight, std=features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        cells = features.flatten(2).transpose(1, 2)
        cells = torch.cat((cells.mean(1, keepdim=True), cells), 1) + self.positional_embedding
        query, key, value = self.q_proj(cells[:, :1]), self.k_proj(cells), self.v_proj(cells)
        split = (tensor.unflatten(-1, (self.heads, -1)).transpose(1, 2) for tensor in (query, key, value))
        return F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2).squeeze(1)
