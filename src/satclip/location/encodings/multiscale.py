"""Multi-scale encodings: sines of many frequencies (Mai et al. 2020, 2023: Space2Vec and Sphere2Vec).

All take degrees straight into the sine, as the reference does: a radius r is a wavelength of 2 pi r degrees. None of
them closes at the date line and all depend on longitude at the poles; the harmonics and cartesian3d do neither.
The repeated columns of the Sphere2Vec family are the reference's: its checkpoints hold weights for both copies.
"""

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from satclip.location.encodings.constants import FixedPrecision
from satclip.location.encodings.protocol import feature_dtype, wide_degrees


class MultiScale(FixedPrecision):
    """Wavelengths 2 pi r degrees, for `frequencies` radii r in geometric steps from `min_radius` to `max_radius`.

    Raises:
        ValueError: when there are no frequencies, or the radii are not positive and finite.
    """

    name: ClassVar[str]
    features_per_frequency: ClassVar[int]
    frequency: Tensor  # [frequencies], 1 / r

    def __init__(self, frequencies: int = 16, min_radius: float = 1.0, max_radius: float = 360.0) -> None:
        super().__init__()
        if frequencies < 1:
            raise ValueError(f"frequencies must be at least 1, got {frequencies}")
        if not (0 < min_radius < math.inf and 0 < max_radius < math.inf):
            raise ValueError(f"radii must be positive and finite, got min_radius={min_radius}, max_radius={max_radius}")
        self.frequencies, self.min_radius, self.max_radius = frequencies, min_radius, max_radius
        self.dim = frequencies * self.features_per_frequency
        step = math.log(max_radius / min_radius) / max(frequencies - 1, 1)
        self.register_constant("frequency", torch.from_numpy(1 / (min_radius * np.exp(np.arange(frequencies) * step))))

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments, ready for JSON."""
        return {"frequencies": self.frequencies, "min_radius": self.min_radius, "max_radius": self.max_radius}

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., dim] in `dtype`, by default that of `lonlat`."""
        return self.encode(*torch.split(wide_degrees(lonlat), 1, -1)).to(feature_dtype(lonlat, dtype))

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., dim], in their dtype."""
        raise NotImplementedError


def _per_frequency(*features: Tensor, copies: int = 1) -> Tensor:
    """Interleave [..., frequencies] features: all of the first frequency, each `copies` times, then the second."""
    return torch.stack([feature for feature in features for _ in range(copies)], -1).flatten(-2)


class Grid(MultiScale):
    """Longitude, then latitude; of each, sine and cosine at every scale."""

    name = "grid"
    features_per_frequency = 4

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., 4 * frequencies]."""
        angles = (longitude * self.frequency, latitude * self.frequency)
        return torch.cat([_per_frequency(angle.sin(), angle.cos()) for angle in angles], -1)


class SphereC(MultiScale):
    """The point on the sphere, z first, with both angles scaled."""

    name = "spherec"
    features_per_frequency = 6

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., 6 * frequencies]."""
        lon, lat = longitude * self.frequency, latitude * self.frequency
        return _per_frequency(lat.sin(), lat.cos() * lon.cos(), lat.cos() * lon.sin(), copies=2)


class SphereCPlus(MultiScale):
    """`SphereC` with the four sines and cosines of `Grid`."""

    name = "spherecplus"
    features_per_frequency = 12

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., 12 * frequencies]."""
        lon, lat = longitude * self.frequency, latitude * self.frequency
        cos_lat, cos_lon, sin_lon = lat.cos(), lon.cos(), lon.sin()
        return _per_frequency(lat.sin(), cos_lat, sin_lon, cos_lon, cos_lat * cos_lon, cos_lat * sin_lon, copies=2)


class SphereM(MultiScale):
    """The point on the sphere with one angle scaled at a time."""

    name = "spherem"
    features_per_frequency = 10

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., 10 * frequencies]."""
        return _per_frequency((latitude * self.frequency).sin(), *self._mixed(longitude, latitude), copies=2)

    def _mixed(self, longitude: Tensor, latitude: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        lon, lat = longitude * self.frequency, latitude * self.frequency
        return (
            lat.cos() * longitude.cos(),
            latitude.cos() * lon.cos(),
            lat.cos() * longitude.sin(),
            latitude.cos() * lon.sin(),
        )


class SphereMPlus(SphereM):
    """`SphereM` with the four sines and cosines of `Grid`."""

    name = "spheremplus"
    features_per_frequency = 16

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., 16 * frequencies]."""
        lon, lat = longitude * self.frequency, latitude * self.frequency
        mixed = self._mixed(longitude, latitude)
        return _per_frequency(lat.sin(), lat.cos(), lon.sin(), lon.cos(), *mixed, copies=2)


class Theory(MultiScale):
    """Waves along three directions of the (lon, lat) plane, 120 degrees apart, as grid cells fire (Gao et al. 2019)."""

    name = "theory"
    features_per_frequency = 6

    def encode(self, longitude: Tensor, latitude: Tensor) -> Tensor:
        """[..., 1], [..., 1] degrees -> [..., 6 * frequencies]."""
        half, height = -0.5, math.sqrt(3) / 2
        along = torch.cat((longitude, half * longitude + height * latitude, half * longitude - height * latitude), -1)
        angle = along[..., None, :] * self.frequency[:, None]  # [..., frequencies, 3]
        return torch.stack((angle.sin(), angle.cos()), -1).flatten(-3)
