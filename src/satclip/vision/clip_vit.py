"""The vision transformer of CLIP (Radford et al. 2021, arXiv 2103.00020), with the published parameter names."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from satclip.vision.images import check_images


class ClipViT(nn.Module):
    """Patches and a class token through pre-norm blocks; the class token is projected to the embedding.

    It differs from the vision transformer of Dosovitskiy et al. in the normalisation before the first block, in the
    sigmoid approximation of GELU and in the projection, which has no bias.

    Args:
        in_channels: bands.
        embedding_dim: D.
        image_size: side of the images in pixels, a multiple of `patch_size`.
        layers: number of blocks.
        width: features a token.
        patch_size: side of a patch in pixels.
        heads: attention heads; 64 features a head where not given.

    Raises:
        ValueError: the sizes do not divide.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        embedding_dim: int,
        image_size: int = 224,
        layers: int = 12,
        width: int = 768,
        patch_size: int = 32,
        heads: int | None = None,
    ) -> None:
        super().__init__()
        heads = heads or max(1, width // 64)
        if width % heads:
            raise ValueError(f"width must be a multiple of the {heads} heads, got {width}; use a multiple of 64")
        if image_size < patch_size:
            raise ValueError(f"image_size must be at least patch_size, got {image_size} and {patch_size}")
        self.in_channels = in_channels
        self.embedding_dim = embedding_dim
        self.image_size = image_size
        scale = width**-0.5
        tokens = (image_size // patch_size) ** 2 + 1
        self.conv1 = nn.Conv2d(in_channels, width, kernel_size=patch_size, stride=patch_size, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        blocks = nn.Sequential(*(_Block(width, heads) for _ in range(layers)))
        self.transformer = nn.ModuleDict({"resblocks": blocks})
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, embedding_dim))

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, image_size, image_size] -> [B, embedding_dim].

        Raises:
            ValueError: the images have another number of bands or another size.
        """
        return self.head(self.features(images))

    def head(self, features: Tensor) -> Tensor:
        """[B, width] -> [B, embedding_dim]."""
        return features @ self.proj

    def features(self, images: Tensor) -> Tensor:
        """What the projection sees: [B, in_channels, image_size, image_size] -> [B, width].

        Raises:
            ValueError: the images have another number of bands or another size.
        """
        check_images(images, self.in_channels, exact=self.image_size)
        patches = self.conv1(images).flatten(2).transpose(1, 2)
        first = self.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        tokens = self.ln_pre(torch.cat((first, patches), 1) + self.positional_embedding)
        tokens = self.transformer["resblocks"](tokens)
        features: Tensor = self.ln_post(tokens[:, 0])
        return features


class _Block(nn.Module):
    """Attention, then two affine layers, each on normalised tokens and added to them."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ln_1 = nn.LayerNorm(width)
        layers = {"c_fc": nn.Linear(width, 4 * width), "gelu": _SigmoidGELU(), "c_proj": nn.Linear(4 * width, width)}
        self.mlp = nn.Sequential(OrderedDict(layers))
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        normalised = self.ln_1(tokens)
        tokens = tokens + self.attn(normalised, normalised, normalised, need_weights=False)[0]
        mixed: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return mixed


class _SigmoidGELU(nn.Module):
    """x sigmoid(1.702 x), the approximation that CLIP was trained with (Hendrycks and Gimpel 2016)."""

    def forward(self, features: Tensor) -> Tensor:
        return features * torch.sigmoid(1.702 * features)
