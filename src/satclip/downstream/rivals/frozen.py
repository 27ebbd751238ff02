"""A network with fixed weights as an encoder of the benchmark."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from satclip.sphere import check_lonlat

Array = NDArray[np.float64]
Vectors = NDArray[np.floating[Any]]

NOTHING, GLOBE, BLOCKS_OUT, UNKNOWN, THE_IMAGE = (
    "nothing",
    "whole globe",
    "held-out blocks left out (inductive)",
    "unknown",
    "the image of the tested place",
)


class Blocks(Protocol):
    """Whole blocks that a pretraining left out."""

    @property
    def degrees(self) -> float:
        """Side of a block."""
        ...

    def holds(self, lonlat: Array) -> NDArray[np.bool_]:
        """Which places lie in them: degrees [N, 2] -> bool [N]."""
        ...


class Frozen:
    """Places in degrees, longitude first, to the vectors of `network`, float64 coordinates in and its own dtype out.

    Attributes:
        name: the row's name in every table.
        seen: what the pretraining saw.
        network: in evaluation mode; [B, 2] float64 -> [B, D]. It gets (latitude, longitude) with `latitude_first`: the
            one place where such an encoder is turned.
        blocks: nested prefix widths, where the vectors have any.
        degrees: the degree of each column, for spherical harmonics.
        fresh: seed -> the same architecture with fresh weights, where that is known.
        described: what the weights do not tell of the network (an L, a w0), for the fingerprint.
        held_out: the blocks that the pretraining left out, where that is known.
        recipe: of the pretraining, as the checkpoint has it; empty where it says nothing.
        vision: loads the image tower that it was trained beside; None where the file has none of ours.
    """

    def __init__(
        self,
        name: str,
        seen: str,
        network: nn.Module,
        *,
        latitude_first: bool = False,
        blocks: tuple[int, ...] | None = None,
        degrees: NDArray[np.int64] | None = None,
        fresh: Callable[[int], nn.Module] | None = None,
        described: str = "",
        rows: int = 4096,
    ) -> None:
        self.name, self.seen, self.network = name, seen, network.eval()
        self.latitude_first, self.rows, self.fresh, self.described = latitude_first, rows, fresh, described
        if blocks is not None:
            self.blocks = blocks
        if degrees is not None:
            self.degrees = degrees
        self.held_out: Blocks | None = None
        self.recipe: Mapping[str, Any] = {}
        self.vision: Callable[[], nn.Module] | None = None
        self._fingerprint: str | None = None

    def first(self, dims: int) -> "Frozen":
        """The first `dims` numbers of every vector, brought to length 1; of fresh weights the same."""
        blocks: tuple[int, ...] | None = getattr(self, "blocks", None)
        kept = None if blocks is None else (*(width for width in blocks if width < dims), dims)
        fresh = self.fresh
        return Frozen(
            self.name,
            self.seen,
            First(self.network, dims),
            latitude_first=self.latitude_first,
            blocks=kept,
            fresh=None if fresh is None else lambda seed: First(fresh(seed), dims),
            described=f"{self.described} first {dims}",
            rows=self.rows,
        )

    @property
    def fingerprint(self) -> str:
        """A hash of the weights and of what is done with them: equal where the vectors are equal."""
        if self._fingerprint is None:
            digest = hashlib.sha256(f"{self.network!r} {self.described} {self.latitude_first}".encode())
            for name, tensor in self.network.state_dict().items():
                digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
            self._fingerprint = digest.hexdigest()
        return self._fingerprint

    @torch.inference_mode()
    def __call__(self, lonlat: Array) -> Vectors:
        """Vectors of places in degrees: [N, 2] -> [N, D].

        Raises:
            ValueError: `lonlat` is not [N, 2], or holds rows that are no places; or a vector is not finite.
        """
        places = checked(lonlat)
        ordered = places.flip(-1) if self.latitude_first else places
        vectors = torch.cat([self.network(part) for part in torch.split(ordered, self.rows)])
        bad = ~vectors.isfinite().all(-1)
        if bad.any():
            longitude, latitude = places[int(bad.int().argmax())].tolist()
            raise ValueError(
                f"{self.name} gives NaN or infinite numbers for {int(bad.sum())} of {len(places)} places, the first at "
                f"longitude {longitude:g}, latitude {latitude:g}; its weights are damaged: leave it out"
            )
        return np.asarray(vectors.numpy())


class First(nn.Module):
    """The first numbers of a network's vectors, brought to length 1."""

    def __init__(self, network: nn.Module, dims: int) -> None:
        super().__init__()
        self.network, self.dims = network, dims

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] -> [B, dims]."""
        vectors: Tensor = self.network(lonlat)
        return F.normalize(vectors[:, : self.dims], dim=-1)


def checked(lonlat: Array) -> Tensor:
    """Places as float64 [N, 2].

    Raises:
        ValueError: another shape, or rows that are no places.
    """
    places = torch.from_numpy(np.array(lonlat, dtype=np.float64))
    if places.ndim != 2 or places.shape[1] != 2:
        raise ValueError(f"lonlat must be [N, 2], longitude first, got {list(places.shape)}; reshape to (-1, 2)")
    check_lonlat(places)
    return places
