"""Low harmonics that pass by the network: where in the world a place lies, in numbers that no training has folded."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from satclip.location.encodings import Encoding, SphericalHarmonics

UNIT_VARIANCE = math.sqrt(4 * math.pi)  # of orthonormal harmonics over the sphere


@dataclass(frozen=True)
class Skip:
    """The features of degrees 1 to `degrees` - 1, with a standard deviation of `scale` over the sphere.

    Degree 0 is the same everywhere and tells nothing. With `degrees` 0 or 1 there are none.
    """

    degrees: int = 0
    scale: float = 1.0

    @property
    def features(self) -> slice:
        """Which of the encoding's features they are."""
        return slice(1, 1 + self.dim)

    @property
    def dim(self) -> int:
        """How many."""
        return max(0, self.degrees**2 - 1)

    def check(self, encoding: Encoding, embedding_dim: int) -> None:
        """Refuse what an encoder of this encoding and width cannot have.

        Raises:
            ValueError: an encoding without degrees or without so many, no dimension left for the network, or a scale
                that is none.
        """
        if self.degrees < 0 or not 0 < self.scale < math.inf:
            raise ValueError(
                f"skip_degrees must be 0 or more and skip_scale a positive number, got {self.degrees} and {self.scale}"
            )
        if not self.dim:
            return
        if not isinstance(encoding, SphericalHarmonics):
            raise ValueError(f"skip_degrees needs le_type=sphericalharmonics, got {encoding.name}; set skip_degrees=0")
        if self.degrees > encoding.legendre_polys or self.dim >= embedding_dim:
            raise ValueError(
                f"skip_degrees={self.degrees} takes {self.dim} numbers of degrees below {self.degrees}; legendre_polys "
                f"is {encoding.legendre_polys} and embedding_dim {embedding_dim}: choose fewer"
            )

    def beside(self, embedding: Tensor, features: Tensor) -> Tensor:
        """The network's numbers, and these features behind them: [..., D - dim], [..., dim] -> [..., D]."""
        if not self.dim:
            return embedding
        return torch.cat((embedding, (self.scale * UNIT_VARIANCE * features).to(embedding.dtype)), -1)

    def config(self) -> dict[str, float]:
        """For a description; nothing where there is none, so that descriptions of before stay what they were."""
        return {"skip_degrees": self.degrees, "skip_scale": self.scale} if self.dim else {}
