"""What lies in a checkpoint file: a model of ours, or one of the published system."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from satclip.location import published as published_location
from satclip.location.encoder import LocationEncoder
from satclip.model import SatCLIP, TwoTowers
from satclip.vision import published as published_vision
from satclip.vision.restore import described_tower
from satclip.weights import check_fit, read_torch_file


def read_checkpoint(path: Path) -> "Ours | Published":
    """The checkpoint at `path`, told apart by its keys.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint of either kind; names what it lacks.
    """
    content = read_torch_file(path)
    keys = set(content) if isinstance(content, Mapping) else set()
    if not isinstance(content, Mapping) or "state_dict" not in keys or not keys & {"satclip", "hyper_parameters"}:
        held = f"the keys {', '.join(sorted(map(str, keys))[:8])}" if keys else f"a {type(content).__name__}"
        raise ValueError(
            f"{path} is no checkpoint of a location encoder: it holds {held}, and needs state_dict with either satclip "
            "(ours) or hyper_parameters (the published system); give the .ckpt file of a training run"
        )
    kind = Ours if "satclip" in keys else Published
    return kind(str(path), content)


@dataclass(frozen=True)
class Ours:
    """A checkpoint that `ContrastiveModule` saved: `satclip` says how to build the towers."""

    source: str
    content: Mapping[str, Any]

    kind = "satclip checkpoint"

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What the checkpoint says of the model and its training."""
        recipe: Mapping[str, Any] = self.content["satclip"]
        return recipe

    def location_encoder(self) -> LocationEncoder:
        """The location tower, in its dtype."""
        config = self.recipe.get("location_encoder", {})
        weights = _below(self.content["state_dict"], "model.location_encoder.", self.source)
        return LocationEncoder.with_weights(config, weights, source=self.source)

    def towers(self) -> TwoTowers:
        """Both towers; nothing is fetched."""
        towers = TwoTowers(described_tower(self.recipe.get("vision", {})), self.location_encoder())
        weights = _below(self.content["state_dict"], "model.", self.source)
        remedy = "Its configuration and its weights disagree; load the file as it was saved"
        check_fit(towers.state_dict(), weights, source=self.source, remedy=remedy)
        towers.load_state_dict(weights)
        return towers

    def training(self) -> dict[str, Any]:
        """What is known of the training."""
        return {
            "vision": dict(self.recipe.get("vision", {})),
            "version": self.recipe.get("version"),
            **_progress(self.content),
        }


@dataclass(frozen=True)
class Published:
    """A checkpoint in the layout of the published system (arXiv 2311.17179)."""

    source: str
    content: Mapping[str, Any]

    kind = "published checkpoint"

    def location_encoder(self) -> LocationEncoder:
        """The location tower, in its dtype (float64 in the released files)."""
        keywords = self._keywords(published_location.KEYWORDS)
        state = self._state()
        # The file holds the network twice, equal; a published model that loads it ends with the second.
        prefix = "model.location.nnet." if any(name.startswith("model.location.") for name in state) else "model.nnet."
        weights = _below(state, prefix, self.source)
        return published_location.restored_location_tower(keywords, weights, source=self.source)

    def towers(self) -> TwoTowers:
        """Both towers; nothing is fetched."""
        keywords = self._keywords((*published_location.KEYWORDS, *published_vision.KEYWORDS))
        state = self._state()
        towers = SatCLIP(**keywords, pretrained=False)
        towers.location_encoder = self.location_encoder()
        weights = _below(state, "model.visual.", self.source)
        published_vision.fill_image_tower(towers.vision, weights, source=self.source)
        if "model.logit_scale" not in state:
            raise ValueError(
                f"{self.source} does not fit: model.logit_scale is missing. Load the file as it was released"
            )
        towers.logit_scale.data.copy_(state["model.logit_scale"])
        return towers

    def training(self) -> dict[str, Any]:
        """What is known of the training."""
        keywords = self.content["hyper_parameters"]
        vision = {name: keywords[name] for name in published_vision.KEYWORDS if name in keywords}
        return {"vision": vision, **_progress(self.content)}

    def _keywords(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Those hyper-parameters. The others, such as paths of the authors' machines, are never required."""
        keywords = self.content["hyper_parameters"]
        missing = [name for name in names if name not in keywords]
        if missing:
            raise ValueError(
                f"{self.source} lacks the hyper_parameters {', '.join(missing)}; give a file as it was released"
            )
        return {name: keywords[name] for name in names}

    def _state(self) -> Mapping[str, Tensor]:
        state: Mapping[str, Tensor] = self.content["state_dict"]
        known = ("model.visual.", "model.nnet.", "model.location.nnet.", "model.logit_scale")
        unknown = [name for name in state if not name.startswith(known)]
        if unknown:
            raise ValueError(
                f"{self.source} does not fit: {', '.join(unknown[:6])} ({len(unknown)} in all) are not part of the "
                "published model; give a file as it was released"
            )
        return state


def _below(state: Mapping[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
    """The weights whose names start with `prefix`, without it."""
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not found:
        shown = ", ".join(list(state)[:5]) or "none"
        raise ValueError(
            f"{source} does not fit: {prefix}* is missing; its weights are {shown}. Give another checkpoint"
        )
    return found


def _progress(content: Mapping[str, Any]) -> dict[str, Any]:
    scale = content["state_dict"].get("model.logit_scale")
    return {
        "temperature": None if scale is None else torch.exp(-scale).item(),
        "epoch": content.get("epoch"),
        "global_step": content.get("global_step"),
    }
