"""What a network on top of an encoding is."""

from typing import Protocol

from torch import Tensor, nn


class Network(Protocol):
    """A map from features to an embedding that starts with one affine layer.

    The start is public because the harmonics separate on a grid of longitudes and latitudes: `encode_grid` replaces
    `first` and calls `rest`, and `forward(x)` is `rest(first(x))`.

    One that has terms of its own for a loss names them in `auxiliary`, a tuple, and has a method
    `with_auxiliary(features [B, in_dim], image_embeddings [B, D]) -> (embedding [B, out_dim], {name: [B, ...]})`, one
    row a place; a loss asks for one as `auxiliary.NAME` (see `satclip.loss.inputs`).
    """

    name: str
    first: nn.Linear

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out, ready for JSON."""
        ...

    def rest(self, hidden: Tensor) -> Tensor:
        """From what `first` gave, [..., first.out_features], to the embedding [..., out_dim].

        May overwrite `hidden` where no gradient is recorded.
        """
        ...

    def __call__(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., out_dim]."""
        ...
