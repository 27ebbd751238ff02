"""Any image network of timm under a linear head."""

from difflib import get_close_matches
from typing import Any

import timm
import torch
from torch import Tensor, nn

from satclip.vision.freezing import FreezableTower, frozen_without_weights
from satclip.vision.images import check_images


class TimmBackbone(FreezableTower):
    """A timm network without its classifier, and a linear head that learns.

    Args:
        name: as `timm.list_models()` gives it, for example "convnext_tiny".
        in_channels: bands; with `pretrained` weights timm adapts the first layer to them.
        embedding_dim: D.
        pretrained: fetch the weights that timm knows for this name (photographs, mostly ImageNet).
        frozen: only the head learns; the backbone takes no gradients and stays in evaluation mode whatever
            `.train()` says, or the running statistics of its batch normalisation would drift.

    Raises:
        ValueError: timm has no network of that name, and the closest are listed; or `frozen` without `pretrained`.
        ConnectionError: the pretrained weights are not cached and cannot be fetched.
    """

    def __init__(
        self, name: str, *, in_channels: int, embedding_dim: int, pretrained: bool = False, frozen: bool = False
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(_unknown(name))
        if frozen and not pretrained:
            raise ValueError(frozen_without_weights("vision.pretrained=false"))
        self.in_channels = in_channels
        self.embedding_dim = embedding_dim
        self.name = name
        network = _create(name, in_channels, pretrained)
        self.backbone: nn.Module = network
        self.head = nn.Linear(network.head_hidden_size, embedding_dim)
        known = network.pretrained_cfg
        self.exact: int | None = known["input_size"][-1] if known.get("fixed_input_size") else None
        if frozen:
            self.freeze()

    def features_name(self) -> str:
        """timm's name of the network, and how many bands it takes."""
        return f"timm/{self.name} of {self.in_channels} bands"

    def features(self, images: Tensor) -> Tensor:
        """What the head sees: [B, in_channels, H, W] -> [B, K]. The same for the same image where frozen, so cacheable.

        Raises:
            ValueError: the images have another number of bands or another size than the network takes.
        """
        check_images(images, self.in_channels, exact=self.exact)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            features: Tensor = self.backbone(images)
        return features

    def forward(self, images: Tensor) -> Tensor:
        """[B, in_channels, H, W] -> [B, embedding_dim].

        Raises:
            ValueError: the images have another number of bands or another size than the network takes.
        """
        embedding: Tensor = self.head(self.features(images))
        return embedding


def _create(name: str, in_channels: int, pretrained: bool) -> Any:
    try:
        return timm.create_model(name, pretrained=pretrained, in_chans=in_channels, num_classes=0)
    except OSError as error:
        raise ConnectionError(
            f"cannot fetch the pretrained weights of {name} ({error}); train the whole network from random ones: "
            "vision.pretrained=false vision.frozen=false"
        ) from error


def _unknown(name: str) -> str:
    names = timm.list_models()
    close = get_close_matches(name, names, n=5, cutoff=0.5) or [known for known in names if name[:4] in known][:5]
    return f"timm has no network {name!r}; closest: {', '.join(close) or 'none'}; timm.list_models() gives all of them"
