"""Harmonics that pass by the network: where in the world a place lies, in numbers that no training has folded."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from satclip.harmonics import without_autocast
from satclip.location.encodings import Encoding, SphericalHarmonics

UNIT_VARIANCE = math.sqrt(4 * math.pi)  # of orthonormal harmonics over the sphere


class Skip(nn.Module):
    """The features of degrees 1 to `degrees` - 1, with a standard deviation of `scale` over the sphere.

    Degree 0 is the same everywhere and tells nothing. With `degrees` 0 or 1 there are none.

    With `damping` = b above 0 the deviation falls with the degree l as (1 + l)^-b: a ridge penalty on such numbers is
    the Gaussian process whose angular power spectrum is (1 + l)^-2b: kriging with a Matern-like covariance (the
    Legendre-Matern family of Guinness and Fuentes 2016, J. Multivariate Analysis 143). `scale` is then the root mean
    square over the numbers, which are mixed by the discrete Hartley transform (Bracewell 1983, J. Opt. Soc. Am. 73):
    an orthogonal matrix, so their inner products stay, and each of them has about the same deviation (within 15 % for
    255 of them). Who brings every column to unit variance, as one does, would else undo the damping.

    Args:
        degrees: K.
        scale: of the numbers.
        damping: b.
        zonal: times the deviation of the harmonics of order 0, which know latitude alone. Climate goes by latitude more
            than by longitude; pi is what the published system has (`harmonics_calculation=analytic`). Such numbers
            are mixed too.

    Raises:
        ValueError: an option is negative, infinite or no number.
    """

    mix: Tensor

    def __init__(self, degrees: int = 0, scale: float = 1.0, damping: float = 0.0, zonal: float = 1.0) -> None:
        super().__init__()
        if degrees < 0 or not 0 <= damping < math.inf or not (0 < scale < math.inf and 0 < zonal < math.inf):
            raise ValueError(
                "skip_degrees and skip_damping must be 0 or more, skip_scale and skip_zonal positive numbers, "
                f"got {degrees}, {damping}, {scale} and {zonal}"
            )
        self.degrees, self.scale, self.damping, self.zonal = degrees, scale, damping, zonal
        self.mixed = self.dim > 0 and (damping > 0 or zonal != 1)
        mix = _damped_mix(degrees, damping, zonal).float() if self.mixed else torch.empty(0, 0)
        self.register_buffer("mix", mix, persistent=False)  # a formula: weights of before stay what they were

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
            ValueError: an encoding without degrees or without so many, or no dimension left for the network.
        """
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
        if self.mixed:
            with without_autocast(features.device):
                features = features @ self.mix.to(features.dtype)
        return torch.cat((embedding, (self.scale * UNIT_VARIANCE * features).to(embedding.dtype)), -1)

    def config(self) -> dict[str, float]:
        """For a description; nothing where there is none, so that descriptions of before stay what they were."""
        if not self.dim:
            return {}
        mixing = {"skip_damping": self.damping, "skip_zonal": self.zonal} if self.mixed else {}
        return {"skip_degrees": self.degrees, "skip_scale": self.scale, **mixing}


def _damped_mix(degrees: int, damping: float, zonal: float) -> Tensor:
    """Damping, then the Hartley transform cas(2 pi i j / n) / sqrt(n): float64 [n, n], of mean square 1 / n."""
    every = np.arange(1, degrees)
    deviation = np.repeat((1.0 + every) ** -damping, 2 * every + 1)
    deviation[every * (every + 1) - 1] *= zonal  # order 0 of degree l is feature l (l + 1), and degree 0 is not here
    deviation /= np.sqrt((deviation**2).mean())
    rows = np.arange(len(deviation))
    angle = 2 * np.pi * (np.outer(rows, rows) % len(rows)) / len(rows)
    return torch.from_numpy(deviation[:, None] * (np.cos(angle) + np.sin(angle)) / np.sqrt(len(rows)))
