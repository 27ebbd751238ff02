"""The location encoder: an encoding of (longitude, latitude) and a network on top."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from satclip.location.encodings import ENCODINGS, Encoding
from satclip.location.encodings.protocol import only_numbers
from satclip.location.hub import HubFolder
from satclip.location.networks import NETWORKS, Network
from satclip.sphere import check_lonlat


class LocationEncoder(HubFolder):
    """Places in degrees, longitude first, to embeddings of `embedding_dim` numbers, not normalised.

    `network` is called with `in_dim` and `out_dim`; dimensions flow from the encoding. Features are computed at the
    encoding's own precision, whatever autocast says, and handed to the network in the network's dtype. Without
    gradients the work goes in blocks of places, so memory does not grow with the features of all of them.
    """

    def __init__(self, encoding: Encoding, network: Callable[..., Network], embedding_dim: int) -> None:
        super().__init__()
        self.encoding = encoding
        self.network = network(in_dim=encoding.dim, out_dim=embedding_dim)
        self.embedding_dim = embedding_dim

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, embedding_dim] in the network's dtype.

        Raises:
            ValueError: when `lonlat` is not [B, 2], or has latitudes beyond 90 degrees (looked at on a CPU, where that
                is cheap, and unless gradients are asked for the places: a step may lead over a pole).
        """
        if lonlat.ndim != 2 or lonlat.shape[1] != 2:
            raise ValueError(f"lonlat must be [B, 2], longitude first, got {list(lonlat.shape)}; reshape to (-1, 2)")
        if only_numbers(lonlat) and not lonlat.requires_grad and (lonlat[:, 1].abs() > 90).any():
            check_lonlat(lonlat)
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._embed(lonlat)
        rows = self._block_rows(lonlat.device)
        first = self._embed(lonlat[:rows])
        if len(lonlat) <= rows:
            return first
        embeddings = first.new_empty(len(lonlat), self.embedding_dim)
        embeddings[:rows] = first
        for start in range(rows, len(lonlat), rows):
            embeddings[start : start + rows] = self._embed(lonlat[start : start + rows])
        return embeddings

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to build this encoder again, ready for JSON."""
        return {
            "embedding_dim": self.embedding_dim,
            "encoding": {"name": self.encoding.name, **self.encoding.options()},
            "network": {"name": self.network.name, **self.network.options()},
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "LocationEncoder":
        """Build an encoder, with fresh weights, from what `config` returned.

        Raises:
            ValueError: when the encoding or the network has an unknown name; lists the known ones.
        """
        encoding, network = dict(config["encoding"]), dict(config["network"])
        encoding_class = _named(ENCODINGS, encoding.pop("name"), "encoding")
        network_class = _named(NETWORKS, network.pop("name"), "network")
        return cls(encoding_class(**encoding), partial(network_class, **network), config["embedding_dim"])

    def _embed(self, lonlat: Tensor) -> Tensor:
        return self.network(self.encoding(lonlat, self.network.first.weight.dtype))

    def _block_rows(self, device: torch.device) -> int:
        """Places of a block: few enough to be cheap to hold, enough to be worth waking threads for."""
        if device.type == "cpu":
            return min(max(2**23 // self.encoding.dim, 512), 4096)
        return min(max(2**25 // self.encoding.dim, 2048), 65536)


def _named(classes: Mapping[str, Callable[..., Any]], name: str, kind: str) -> Callable[..., Any]:
    if name not in classes:
        raise ValueError(f"unknown {kind} {name!r}; known are {', '.join(classes)}")
    return classes[name]
