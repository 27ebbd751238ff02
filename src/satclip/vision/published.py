"""The image tower of the published system (arXiv 2311.17179): its keywords and its names of weights."""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from satclip.vision.clip_resnet import ClipResNet
from satclip.vision.clip_vit import ClipViT
from satclip.vision.timm_names import CLASSIFIERS
from satclip.weights import check_fit

MOCO = ("moco_resnet18", "moco_resnet50", "moco_vit16")
KEYWORDS = ("embed_dim", "image_resolution", "vision_layers", "vision_width", "vision_patch_size", "in_channels")


def image_tower(
    *,
    embed_dim: int,
    image_resolution: int,
    vision_layers: str | int | Sequence[int],
    vision_width: int,
    vision_patch_size: int,
    in_channels: int,
    pretrained: bool,
) -> nn.Module:
    """The tower that `vision_layers` asks for: a backbone by name, a ResNet by four counts, a ViT by its depth.

    `pretrained` fetches the weights of a backbone asked for by name and freezes them; else they are random, and learn.

    Raises:
        ValueError: `vision_layers` is another name.
    """
    if isinstance(vision_layers, str):
        if vision_layers not in MOCO:
            raise ValueError(
                f"vision_layers must be one of {', '.join(MOCO)}, four block counts or a depth, got {vision_layers!r}"
            )
        from satclip.vision.moco import MocoBackbone  # here and not above: the other towers do without timm

        name, weights = vision_layers.removeprefix("moco_"), "moco" if pretrained else "none"
        return MocoBackbone(name, weights, in_channels=in_channels, embedding_dim=embed_dim)
    if not isinstance(vision_layers, int):
        return ClipResNet(
            in_channels=in_channels,
            embedding_dim=embed_dim,
            image_size=image_resolution,
            layers=vision_layers,
            width=vision_width,
        )
    return ClipViT(
        in_channels=in_channels,
        embedding_dim=embed_dim,
        image_size=image_resolution,
        layers=vision_layers,
        width=vision_width,
        patch_size=vision_patch_size,
    )


def fill_image_tower(tower: nn.Module, weights: Mapping[str, Tensor], *, source: str) -> None:
    """Give a tower that `image_tower` built the `model.visual.*` of a published checkpoint, without that prefix.

    A backbone is frozen then, as it was when the checkpoint was made.

    Raises:
        ValueError: weights are missing, unknown or of another shape; names them and `source`.
    """
    if not isinstance(tower, (ClipResNet, ClipViT)):
        weights = {_backbone_name(name): tensor for name, tensor in weights.items()}
    remedy = "Its hyper_parameters and its weights disagree; load the file as it was released"
    check_fit(tower.state_dict(), weights, source=source, remedy=remedy)
    tower.load_state_dict(dict(weights))
    if not isinstance(tower, (ClipResNet, ClipViT)):
        from satclip.vision.backbone import TimmBackbone  # here and not above: the other towers do without timm

        assert isinstance(tower, TimmBackbone)
        tower.freeze()


def _backbone_name(name: str) -> str:
    """`fc.weight` or `head.weight` -> `head.weight`; anything else is of the backbone."""
    if name.startswith(CLASSIFIERS):
        return f"head.{name.split('.', 1)[1]}"
    return f"backbone.{name}"
