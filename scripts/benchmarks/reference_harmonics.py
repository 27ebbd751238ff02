"""Other ways to the same spherical harmonics, for `bench_location.py`: each takes places in degrees and gives a job."""

import math

import numpy as np
import torch
from numpy.polynomial import Legendre, Polynomial
from timing import Job
from torch import Tensor

from satclip.harmonics.batches import SPHERICART_POLYS


def sphericart_job(lonlat: Tensor, count: int) -> Job | None:
    """The fastest library, float64, from degrees; None where it is not installed or not exact."""
    if count > SPHERICART_POLYS:
        return None
    try:
        import sphericart
    except ImportError:
        return None
    calculator, degrees = sphericart.SphericalHarmonics(count - 1), lonlat.numpy()

    def job() -> object:
        longitude, latitude = np.deg2rad(degrees).T
        ring = np.cos(latitude)
        vectors = np.stack((ring * np.cos(longitude), ring * np.sin(longitude), np.sin(latitude)), -1)
        return calculator.compute(vectors)

    return job


def scipy_job(lonlat: Tensor, count: int) -> Job:
    """scipy, every degree and order in one call."""
    from scipy.special import sph_harm_y

    degree = np.repeat(np.arange(count), np.arange(count) + 1)
    order = np.arange(len(degree)) - degree * (degree + 1) // 2
    longitude, latitude = np.deg2rad(lonlat.numpy()).T[..., None]
    return lambda: sph_harm_y(degree, order, np.pi / 2 + latitude, longitude + np.pi)


def loop_job(lonlat: Tensor, count: int) -> Job:
    """A Python loop over (l, m) of expanded polynomials: how the reference does it."""
    terms = []
    for degree in range(count):
        for order in range(-degree, degree + 1):
            m = abs(order)
            powers = Legendre.basis(degree).deriv(m).convert(kind=Polynomial).coef
            log_norm = (
                math.log((2 * degree + 1) / (2 * math.pi)) + math.lgamma(degree - m + 1) - math.lgamma(degree + m + 1)
            )
            terms.append((order, m, torch.as_tensor(powers, dtype=torch.float64) * math.exp(log_norm / 2)))

    def job() -> Tensor:
        longitude, latitude = torch.deg2rad(lonlat).unbind(-1)
        z, ring, features = latitude.sin(), latitude.cos(), []
        for order, m, powers in terms:
            polynomial = sum(power * z**k for k, power in enumerate(powers) if power)
            wave = (m * longitude).sin() if order < 0 else (m * longitude).cos()
            features.append(polynomial * ring**m * wave)
        return torch.stack(features, -1)

    return job
