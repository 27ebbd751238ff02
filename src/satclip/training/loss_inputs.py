"""Embeddings of a batch and whatever else its loss asks for, in one piece or in parts."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from satclip.loss.inputs import AUXILIARY, FEATURES, sees_images, sources_of
from satclip.model import TwoTowers
from satclip.training.gradcache import cached_outputs


class Seen(NamedTuple):
    """What a loss is called with.

    Attributes:
        images: embeddings [B, D]; None in training where the loss does not look at them.
        locations: embeddings [B, D].
        asked: what it asks for by name.
    """

    images: Tensor | None
    locations: Tensor
    asked: dict[str, Tensor]


class LossInputs:
    """Runs the towers for a loss.

    Args:
        model: the two towers.
        loss: see `satclip.loss.inputs.sources_of` for what it may ask.

    Raises:
        ValueError: it asks for what these towers do not have.
    """

    def __init__(self, model: TwoTowers, loss: nn.Module) -> None:
        self.model = model
        self.sources = sources_of(loss)
        self.sees_images = sees_images(loss)
        asked = dict.fromkeys(self.sources.values())
        self.features = FEATURES in asked
        self.auxiliary = tuple(name.removeprefix(AUXILIARY) for name in asked if name.startswith(AUXILIARY))
        self.of_batch = tuple(name for name in asked if name != FEATURES and not name.startswith(AUXILIARY))
        if self.features:
            model.check_features()
        model.check_auxiliary(self.auxiliary, sees_images=self.sees_images)

    def __call__(self, batch: Mapping[str, Any], parts: int = 1, *, images: bool = False) -> Seen:
        """Run the towers on `parts` parts of the batch in turn (see `satclip.training.gradcache`).

        `images` asks for their embeddings even if the loss does not.

        Raises:
            ValueError: the batch lacks an entry that the loss asks for, or a term has not one row a place.
        """
        if missing := [name for name in self.of_batch if name not in batch]:
            there = ", ".join(sorted(name for name, value in batch.items() if isinstance(value, Tensor)))
            raise ValueError(
                f"the loss asks for {', '.join(missing)}, and a batch has {there}; choose another loss, "
                "another of its inputs, or data that has it (dataset.image_statistics=[1,2,4] for image_statistics)"
            )
        cached = "image" not in batch  # features of a frozen backbone, or a teacher's vectors, stand in its place
        seen = batch["features" if cached else "image"]
        run = partial(self._run, cached=cached, always=images)
        if parts == 1:
            found = run(seen, batch["lonlat"])
        else:
            found = cached_outputs(run, zip(seen.chunk(parts), batch["lonlat"].chunk(parts), strict=True), self.model)
        left = iter(found)
        embeddings = next(left) if self.sees_images or images else None
        locations = next(left)
        computed = {FEATURES: next(left)} if self.features else {}
        computed |= {f"{AUXILIARY}{name}": next(left) for name in self.auxiliary}
        sources = {**{name: batch[name] for name in self.of_batch}, **computed}
        return Seen(embeddings, locations, {argument: sources[name] for argument, name in self.sources.items()})

    def compile(self) -> None:
        """Have those methods of the towers compiled that are called here instead of the towers themselves."""
        vision: Any = self.model.vision
        encoder: Any = self.model.location_encoder
        if self.features:
            vision.features = torch.compile(vision.features)
        if self.auxiliary:
            encoder.with_auxiliary = torch.compile(encoder.with_auxiliary)

    def _run(self, images: Tensor, lonlat: Tensor, *, cached: bool, always: bool) -> tuple[Tensor, ...]:
        """The tensors, of one row a place, that are asked for: image embeddings, locations, features, terms.

        `cached` says that `images` are features of images.
        """
        found: list[Tensor] = []
        features: list[Tensor] = []
        if self.features:
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.sees_images):
                embedding, feature = (
                    (self.model.encode_features(images), images)
                    if cached
                    else self.model.encode_image_and_features(images)
                )
            features.append(feature)
        elif self.sees_images or always:
            embedding = self.model.encode_features(images) if cached else self.model.encode_image(images)
        if self.sees_images or always:
            found.append(embedding)
        if not self.auxiliary:
            return (*found, self.model.encode_location(lonlat), *features)
        locations, terms = self.model.encode_location_and_auxiliary(lonlat, embedding, self.auxiliary)
        return (*found, locations, *features, *terms)
