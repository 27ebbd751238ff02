"""What a loss may see beside the two embeddings: the names it asks by."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

FEATURES = "image_features"  # what the image tower's head works on
AUXILIARY = "auxiliary."  # before the name of a term that the location encoder computes


def sources_of(loss: nn.Module) -> dict[str, str]:
    """What a loss asks for, as {keyword argument: source}, from its attribute `inputs`; nothing where it has none.

    `inputs` is a mapping of that kind, or a sequence of names that are both. A source is one of

    - `image_features`: what the image tower's head works on, [B, K], with its gradient;
    - `auxiliary.NAME`: a term that the location encoder computes beside its embedding, [B, ...];
    - the name of any other entry of the batch: `lonlat` [B, 2], `id` [B], vectors of a teacher [B, K].
    """
    asked: Mapping[str, str] | Sequence[str] = getattr(loss, "inputs", ())
    return dict(asked) if isinstance(asked, Mapping) else {name: name for name in asked}


def given_to(loss: nn.Module, sources: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments of one loss out of what several asked for, by source."""
    return {argument: sources[source] for argument, source in sources_of(loss).items()}


def sees_images(loss: nn.Module) -> bool:
    """Whether a loss looks at the image embeddings; its attribute `sees_images`, true where it has none."""
    return bool(getattr(loss, "sees_images", True))
