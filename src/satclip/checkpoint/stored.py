"""What lies in a checkpoint file: a model of ours, or one of the published system."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from satclip.checkpoint.facts import plain_facts
from satclip.location import published as published_location
from satclip.location.encoder import LocationEncoder
from satclip.location.tte import is_tte, tte_encoder
from satclip.model import SatCLIP, TwoTowers
from satclip.vision import published as published_vision
from satclip.vision.restore import described_tower
from satclip.weights import check_fit, check_sizes, printable, read_torch_file, real_weights

REMEDY = "Its description and its weights disagree; load the file as it was saved"


def read_checkpoint(path: Path) -> "OurCheckpoint | PublishedCheckpoint | TTEFile":
    """The checkpoint at `path`, told apart by its keys.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint of either kind; names what it lacks.
    """
    if path.suffix == ".safetensors":
        return TTEFile(str(path), _safetensors(path))
    content = read_torch_file(path)
    keys = {key for key in content if isinstance(key, str)} if isinstance(content, Mapping) else set()
    if not isinstance(content, Mapping) or "state_dict" not in keys or not keys & {"satclip", "hyper_parameters"}:
        held = f"the keys {', '.join(map(printable, sorted(keys)[:8]))}" if keys else f"a {type(content).__name__}"
        raise ValueError(
            f"{path} is no checkpoint of a location encoder: it holds {held}, and needs state_dict with either satclip "
            "(ours) or hyper_parameters (the published system); give the .ckpt file of a training run"
        )
    kind = OurCheckpoint if "satclip" in keys else PublishedCheckpoint
    for key in ("state_dict", "satclip" if kind is OurCheckpoint else "hyper_parameters"):
        if not isinstance(content[key], Mapping) or not all(isinstance(name, str) for name in content[key]):
            raise ValueError(f"{path} does not fit: {key} is no dictionary of names; give the file as it was saved")
    return kind(str(path), content)


@dataclass(frozen=True)
class OurCheckpoint:
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
        config = self._part("location_encoder")
        weights = _below(self.content["state_dict"], "model.location_encoder.", self.source)
        return LocationEncoder.with_weights(config, weights, source=self.source)

    def towers(self) -> TwoTowers:
        """Both towers; nothing is fetched."""
        vision = self._part("vision")
        weights = _below(self.content["state_dict"], "model.", self.source)
        weights = real_weights(weights, source=self.source, counters=True)
        seen = {name: tensor for name, tensor in weights.items() if name.startswith("vision.")}
        check_sizes(vision, seen, source=self.source)
        tower = _built(
            partial(described_tower, vision), seen, named="name" in vision, prefix="vision.", source=self.source
        )
        towers = TwoTowers(tower, self.location_encoder())
        check_fit(towers.state_dict(), weights, source=self.source, remedy=REMEDY)
        towers.load_state_dict(weights)
        return towers

    def _part(self, name: str) -> Mapping[str, Any]:
        """A dictionary of the recipe; empty where there is none."""
        part = self.recipe.get(name, {})
        if not isinstance(part, Mapping):
            raise ValueError(f"{self.source} does not fit: its {name} is no dictionary; give the file as it was saved")
        return part

    def training(self) -> dict[str, Any]:
        """What is known of the training."""
        return {
            "vision": plain_facts(self._part("vision")),
            "version": plain_facts(self.recipe.get("version")),
            **_progress(self.content),
        }


@dataclass(frozen=True)
class PublishedCheckpoint:
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
        location_encoder = self.location_encoder()
        weights = real_weights(_below(state, "model.visual.", self.source), source=self.source, counters=True)
        check_sizes(keywords, weights, source=self.source)
        seen = {name: keywords[name] for name in published_vision.KEYWORDS}
        build = partial(published_vision.image_tower, **seen, pretrained=False)
        _built(build, weights, named=isinstance(seen["vision_layers"], str), source=self.source)
        towers = SatCLIP(**keywords, pretrained=False)
        towers.location_encoder = location_encoder
        published_vision.fill_image_tower(towers.vision, weights, source=self.source)
        scale = {name: tensor for name, tensor in state.items() if name == "model.logit_scale"}
        mine = {"model.logit_scale": towers.logit_scale}
        check_fit(mine, real_weights(scale, source=self.source), source=self.source, remedy=REMEDY)
        towers.logit_scale.data.copy_(scale["model.logit_scale"])
        return towers

    def training(self) -> dict[str, Any]:
        """What is known of the training."""
        keywords = self.content["hyper_parameters"]
        vision = {name: keywords[name] for name in published_vision.KEYWORDS if name in keywords}
        return {"vision": plain_facts(vision), **_progress(self.content)}

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
                f"{self.source} does not fit: {', '.join(map(printable, unknown[:6]))} ({len(unknown)} in all) are not "
                "part of the published model; give a file as it was released"
            )
        return state


@dataclass(frozen=True)
class TTEFile:
    """The weights of TTE as its authors published them: a location encoder alone."""

    source: str
    content: Mapping[str, Tensor]

    kind = "TTE's published weights"

    def location_encoder(self) -> LocationEncoder:
        """The encoder; TTE's own vectors are its embeddings, of length one."""
        return tte_encoder(self.content, source=self.source)

    def towers(self) -> TwoTowers:
        """Never.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{self.source} holds a location encoder alone; give the checkpoint of a training run for both towers"
        )

    def training(self) -> dict[str, Any]:
        """Nothing is known of it."""
        return {}


def _safetensors(path: Path) -> Mapping[str, Tensor]:
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} cannot be read ({printable(str(error))}); fetch it again") from error
    if not is_tte(state):
        raise ValueError(
            f"{path} holds bare weights, and not those of TTE; give the folder that save_pretrained wrote, which says "
            "what they are of"
        )
    return state


def _below(state: Mapping[str, Tensor], prefix: str, source: str) -> dict[str, Tensor]:
    """The weights whose names start with `prefix`, without it."""
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if not found:
        shown = ", ".join(map(printable, list(state)[:5])) or "none"
        raise ValueError(
            f"{source} does not fit: {prefix}* is missing; its weights are {shown}. Give another checkpoint"
        )
    return found


def _progress(content: Mapping[str, Any]) -> dict[str, Any]:
    scale = content["state_dict"].get("model.logit_scale")
    known = isinstance(scale, Tensor) and scale.numel() == 1 and scale.is_floating_point()
    return {
        "temperature": plain_facts(torch.exp(-scale).item()) if known else None,
        "epoch": plain_facts(content.get("epoch")),
        "global_step": plain_facts(content.get("global_step")),
    }


def _built(
    build: Callable[[], nn.Module], weights: Mapping[str, Tensor], *, named: bool, source: str, prefix: str = ""
) -> nn.Module:
    """What `build` makes of the options in a file, once its outline, which takes no memory, has the weights' shapes.

    A network that is `named` has sizes that come from its name, and not every one of those can be outlined.

    Raises:
        ValueError: the options are of the wrong type, or build something else than the weights are of.
    """
    try:
        if not named:
            with torch.device("meta"):
                outline = {f"{prefix}{name}": tensor for name, tensor in build().state_dict().items()}
            check_fit(outline, weights, source=source, remedy=REMEDY)
        return build()
    except (AttributeError, TypeError, RuntimeError, ArithmeticError) as error:
        raise ValueError(f"{source} describes no image tower ({printable(str(error))}); {REMEDY}") from error
