"""Image towers: reflectance [B, C, H, W] -> embedding [B, D].

The towers on timm are imported when they are first asked for: timm costs seconds, and a location encoder needs none.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from satclip.optional_import import require
from satclip.vision.clip_resnet import ClipResNet
from satclip.vision.clip_vit import ClipViT
from satclip.vision.statistics import StatisticsTower
from satclip.vision.tiny import TinyCNN
from satclip.vision.vectors import VectorTower

if TYPE_CHECKING:
    from satclip.vision.backbone import TimmBackbone
    from satclip.vision.moco import MocoBackbone

__all__ = ["ClipResNet", "ClipViT", "MocoBackbone", "StatisticsTower", "TimmBackbone", "TinyCNN", "VectorTower"]

_HOMES = {"MocoBackbone": "satclip.vision.moco", "TimmBackbone": "satclip.vision.backbone"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'satclip.vision' has no attribute {name!r}; image towers: {', '.join(__all__)}")
    require("train", "timm")
    return getattr(import_module(_HOMES[name]), name)
