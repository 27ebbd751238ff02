"""The location encoder: an encoding of (longitude, latitude) and a network on top."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from satclip.location.encodings import ENCODINGS
from satclip.location.hub import HubFolder
from satclip.location.networks import NETWORKS


class LocationEncoder(HubFolder):
    """Places in degrees, longitude first, to embeddings of `embedding_dim` numbers, not normalised.

    `network` is called with `in_dim` and `out_dim`; dimensions flow from the encoding. Features are computed at the
    encoding's own precision, whatever autocast says, and handed to the network in the network's dtype.
    """

    def __init__(self, encoding: nn.Module, network: Callable[..., nn.Module], embedding_dim: int) -> None:
        super().__init__()
        self.encoding = encoding
        self.network = network(in_dim=encoding.dim, out_dim=embedding_dim)
        self.embedding_dim = embedding_dim

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, embedding_dim] in the network's dtype."""
        return self.network(self.encoding(lonlat, self.network.first.weight.dtype))

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build this encoder again, ready for JSON."""
        return {
            "embedding_dim": self.embedding_dim,
            "encoding": {"name": self.encoding.name, **self.encoding.options()},
            "network": {"name": self.network.name, **self.network.options()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LocationEncoder":
        """Build an encoder, with fresh weights, from what `config` returned."""
        encoding, network = dict(config["encoding"]), dict(config["network"])
        encoding_class, network_class = ENCODINGS[encoding.pop("name")], NETWORKS[network.pop("name")]
        return cls(
            encoding_class(**encoding), lambda **dims: network_class(**dims, **network), config["embedding_dim"]
        )
