"""Backbones that do not learn: weights from a file, and features that are the same for the same image."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from satclip.weights import check_fit, read_torch_file

AUTO, NONE = "auto", "none"
HEAD = "head"
OURS = "model.vision."  # before the names of an image tower's weights in a checkpoint of ours


class FreezableTower(nn.Module):
    """An image tower `head(features(images))`; what stands below its `head` may be frozen.

    A frozen backbone takes no gradients and stays in evaluation mode whatever `.train()` says, or the running
    statistics of its batch normalisation would drift. So its features may be computed once (`satclip.data.features`).
    """

    frozen = False

    def freeze(self) -> None:
        """Let only the head learn from now on: for a backbone that has its weights, or is about to be given them."""
        self.frozen = True
        for part in self._below_the_head():
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Any:
        """Training or evaluation mode; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            for part in self._below_the_head():
                part.eval()
        return self

    def features_name(self) -> str:
        """The kind of features, with every option that they depend on."""
        raise NotImplementedError

    def features_weights(self) -> Mapping[str, Tensor]:
        """The weights that the features depend on, by name."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith(f"{HEAD}.")}

    def _below_the_head(self) -> Iterator[nn.Module]:
        return (part for name, part in self.named_children() if name != HEAD)


def features_identity(tower: nn.Module) -> dict[str, str]:
    """What tells the features of one tower from those of another: {"backbone": its name, "weights": their SHA-256}.

    Raises:
        ValueError: the tower's features change while it learns.
    """
    if not getattr(tower, "frozen", False):
        raise ValueError(
            f"the image tower {type(tower).__name__} learns, so its features change with every step and cannot be "
            "computed once; freeze one that has learned: vision.weights=best.ckpt (tiny, resnet18, resnet50, vit16), "
            "vision.pretrained=true vision.frozen=true (timm), or vision=statistics, which learns nothing"
        )
    known: Any = tower
    digest = hashlib.sha256()
    for name, tensor in sorted(known.features_weights().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return {"backbone": str(known.features_name()), "weights": digest.hexdigest()}


def is_frozen(weights: str | Path, frozen: bool | str) -> bool:
    """Whether a tower with these two options lets only its head learn: "auto" freezes all weights but random ones.

    Raises:
        ValueError: `frozen` is neither, or true of random weights.
    """
    if frozen not in (True, False, AUTO):
        raise ValueError(f"vision.frozen takes auto, true or false, got {frozen!r}")
    if frozen is True and weights == NONE:
        raise ValueError(frozen_without_weights("vision.weights=none"))
    return frozen is True or (frozen == AUTO and weights != NONE)


def frozen_without_weights(option: str) -> str:
    """The message that refuses a frozen backbone of random weights, which `option` asks for."""
    return (
        f"vision.frozen=true with {option} would freeze random weights, and nothing but the head on top of them would "
        "ever learn; give vision.frozen=false to train them, or give the backbone weights that have been trained"
    )


def fill_backbone(tower: nn.Module, path: Path) -> None:
    """Give what stands below a tower's head the weights of a checkpoint of ours; the head stays as it is.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it holds another tower; names the weights.
    """
    weights = read_backbone(path)
    mine = {name: tensor for name, tensor in tower.state_dict().items() if not name.startswith(f"{HEAD}.")}
    remedy = "Give a checkpoint of a training with the same `vision` options"
    check_fit(mine, weights, source=str(path), remedy=remedy)
    tower.load_state_dict(weights, strict=False)


def read_backbone(path: Path) -> dict[str, Tensor]:
    """The weights in a torch file, or those of the image tower in a checkpoint of ours, without its head.

    Raises:
        FileNotFoundError, ValueError: there is no such file, or it is no state dict.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; vision.weights is none, a checkpoint of a training, or a torch file")
    state = read_torch_file(path)
    if isinstance(state, dict):
        state = state.get("state_dict", state)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} holds no state dict; give a file of names and tensors, saved by torch.save")
    ours = {str(name).removeprefix(OURS): value for name, value in state.items() if str(name).startswith(OURS)}
    return {str(name): value for name, value in (ours or state).items() if not str(name).startswith(f"{HEAD}.")}
