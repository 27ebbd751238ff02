"""What is most alike, and the distance over which likeness halves, against closed formulas."""

import math

import pyproj
import pytest
import torch
from torch import Tensor, nn

from satclip.likeness import finest_km, most_alike, moved, resolution
from satclip.sphere import great_circle_km, uniform_on_sphere, unit_vectors

RADIUS = 6371.0088


class Direction(nn.Module):
    def forward(self, lonlat: Tensor) -> Tensor:
        return unit_vectors(lonlat)


class Narrow(nn.Module):
    """Random Fourier features of a Gaussian kernel exp(-d^2 / 2 s^2) in the chord d, s in kilometres."""

    def __init__(self, scale_km: float) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.frequencies = torch.randn(3, 20_000, generator=generator, dtype=torch.float64) * RADIUS / scale_km

    def forward(self, lonlat: Tensor) -> Tensor:
        angle = unit_vectors(lonlat) @ self.frequencies
        return torch.cat((angle.cos(), angle.sin()), -1)


def test_likeness_halves_where_the_kernel_does() -> None:
    places = uniform_on_sphere(60, torch.Generator().manual_seed(1))
    found = resolution(Narrow(300.0), places)
    assert found.half_km == pytest.approx(300 * math.sqrt(2 * math.log(2)), rel=0.03)
    assert abs(found.apart) < 0.05


def test_likeness_that_halves_nowhere_or_at_once_has_no_distance() -> None:
    places = uniform_on_sphere(60, torch.Generator().manual_seed(1))
    assert resolution(Direction(), places).half_km is None  # a cosine of the angle: half at 6,700 km
    assert resolution(Narrow(1.0), places).half_km is None
    with pytest.raises(ValueError, match="NaN or infinite"):
        resolution(nn.Identity(), torch.full((5, 2), torch.nan, dtype=torch.float64))


def test_moved_places_lie_so_far_and_in_that_direction() -> None:
    lonlat = uniform_on_sphere(50, torch.Generator().manual_seed(2))
    bearing = 360 * torch.rand(50, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    there = moved(lonlat, bearing, 1234.0)
    torch.testing.assert_close(great_circle_km(lonlat, there), torch.full((50,), 1234.0, dtype=torch.float64))
    sphere = pyproj.Geod(a=6371008.8, b=6371008.8)
    lon, lat, _ = sphere.fwd(*lonlat.numpy().T, bearing.numpy(), [1234e3] * 50)
    torch.testing.assert_close(there[:, 1], torch.from_numpy(lat), atol=1e-6, rtol=0)
    assert (torch.from_numpy(lon) - there[:, 0]).remainder(360).sub(180).abs().min() > 179.9999


def test_the_most_alike_skip_nan_and_what_is_near() -> None:
    lonlat = torch.tensor([[0.0, 0.0], [1.0, 0.0], [10.0, 0.0], [10.5, 0.0], [20.0, 0.0]], dtype=torch.float64)
    alike = torch.tensor([1.0, 0.99, 0.8, 0.9, torch.nan], dtype=torch.float64)
    assert most_alike(alike, lonlat, lonlat[:1], 5, apart_km=200).tolist() == [3]
    assert most_alike(alike, lonlat, lonlat[:1], 5, apart_km=0).tolist() == [1, 3, 2]


def test_forty_degrees_resolve_half_a_wavelength_of_the_thirty_ninth() -> None:
    assert finest_km(40) == pytest.approx(math.pi * RADIUS / 39)
