"""Encodings without frequencies: the angles, the point on the sphere, and the two circles."""

import torch
from torch import Tensor, nn

from satclip.location.encodings.protocol import feature_dtype, wide_degrees
from satclip.sphere import radians, unit_vectors


class Direct(nn.Module):
    """The angles themselves: radians(lon) - pi, radians(lat) - pi.

    Has a seam at the date line, and the poles depend on longitude.
    """

    name = "direct"
    dim = 2

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments: none."""
        return {}

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., 2] in `dtype`, by default that of `lonlat`."""
        return (radians(wide_degrees(lonlat)) - torch.pi).to(feature_dtype(lonlat, dtype))


class Cartesian3D(nn.Module):
    """The point on the unit sphere: x through (0, 0), z through the north pole.

    No seam at the date line, no dependence on longitude at the poles.
    """

    name = "cartesian3d"
    dim = 3

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments: none."""
        return {}

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., 3] in `dtype`, by default that of `lonlat`."""
        return unit_vectors(wide_degrees(lonlat)).to(feature_dtype(lonlat, dtype))


class Wrap(nn.Module):
    """Two circles: cos lon, sin lon, cos lat, sin lat (Mac Aodha et al. 2019).

    No seam at the date line; the poles depend on longitude.
    """

    name = "wrap"
    dim = 4

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments: none."""
        return {}

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., 4] in `dtype`, by default that of `lonlat`."""
        angles = radians(wide_degrees(lonlat))
        return torch.stack((angles.cos(), angles.sin()), -1).flatten(-2).to(feature_dtype(lonlat, dtype))
