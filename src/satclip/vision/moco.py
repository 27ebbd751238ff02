"""Backbones pretrained on Sentinel-2 by momentum contrast: SSL4EO-S12 (Wang et al. 2022, arXiv 2211.07044)."""

from pathlib import Path

from torch import Tensor

from satclip.optional_import import require
from satclip.vision.backbone import TimmBackbone
from satclip.vision.freezing import is_frozen, read_backbone
from satclip.vision.timm_names import CLASSIFIERS
from satclip.weights import check_fit

BANDS = 13  # B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12
NAMES = {  # ours: (timm's, torchgeo's list of weights)
    "resnet18": ("resnet18", "ResNet18_Weights"),
    "resnet50": ("resnet50", "ResNet50_Weights"),
    "vit16": ("vit_small_patch16_224", "ViTSmall16_Weights"),
}


class MocoBackbone(TimmBackbone):
    """ResNet-18, ResNet-50 or ViT-S/16 with weights that have seen Sentinel-2, and a linear head that learns.

    Random weights are trained and never frozen.

    Args:
        name: "resnet18", "resnet50" or "vit16"; the last takes 224 x 224 pixels and no other size.
        weights: "moco" (torchgeo's, all 13 bands, fetched once), "none" (random), or the path of a torch file: the
            state dict of timm's network of that name, or a checkpoint of a training here.
        in_channels: bands; 13 with "moco".
        embedding_dim: D.
        frozen: whether only the head learns (see `TimmBackbone`); "auto" freezes all weights but random ones.

    Raises:
        ValueError: unknown name, MoCo weights for other than 13 bands, a file whose keys or shapes do not fit, or
            `frozen` with weights "none".
        FileNotFoundError: `weights` is neither "moco" nor "none" nor a file.
        ConnectionError: the MoCo weights are not cached and cannot be fetched.
    """

    def __init__(
        self,
        name: str,
        weights: str | Path = "moco",
        *,
        in_channels: int = BANDS,
        embedding_dim: int,
        frozen: bool | str = "auto",
    ) -> None:
        if name not in NAMES:
            raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}; vision=timm takes any timm name")
        if weights == "moco" and in_channels != BANDS:
            raise ValueError(
                f"the MoCo weights take {BANDS} bands, got in_channels={in_channels}; "
                "list all bands in dataset.bands, or train the backbone from scratch with vision.weights=none"
            )
        freezing = is_frozen(weights, frozen)
        super().__init__(NAMES[name][0], in_channels=in_channels, embedding_dim=embedding_dim)
        if weights == "moco":
            self._load(_fetch(name), f"the MoCo weights of {name}")
        elif weights != "none":
            self._load(_read(Path(weights)), str(weights))
        if freezing:
            self.freeze()

    def _load(self, state: dict[str, Tensor], source: str) -> None:
        """Fill the backbone exactly; a classifier in the file is left out."""
        state = {key: value for key, value in state.items() if not key.startswith(CLASSIFIERS)}
        remedy = "Give the state dict of the timm network of this name"
        check_fit(self.backbone.state_dict(), state, source=source, remedy=remedy)
        self.backbone.load_state_dict(state)


def _fetch(name: str) -> dict[str, Tensor]:
    """torchgeo's weights, from the cache of torch.hub or from the network."""
    require("train", "torchgeo")
    import torchgeo.models  # here and not above: it takes seconds, and only these weights need it

    weights = getattr(torchgeo.models, NAMES[name][1]).SENTINEL2_ALL_MOCO
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    except OSError as error:
        raise ConnectionError(
            f"cannot fetch the MoCo weights of {name} from {weights.url} ({error}). Fetch that file where there is a "
            "network and give its path: vision.weights=PATH. Towers that need no file: vision=tiny (small and fast), "
            "vision=resnet_clip or vit_clip; or vision.weights=none, which trains all of this one from random weights"
        ) from error
    return state


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; vision.weights is moco, none, or the path of a torch file")
    return {name.removeprefix("backbone."): tensor for name, tensor in read_backbone(path).items()}
