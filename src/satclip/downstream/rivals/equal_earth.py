"""The Equal Earth projection, scaled as GeoCLIP and its descendants take it."""

import math

import torch
from torch import Tensor

# Šavrič, Patterson and Jenny 2019, "The Equal Earth map projection", IJGIS 33(3).
A1, A2, A3, A4 = 1.340264, -0.081106, 0.000893, 0.003796
SCALE = 66.50336 / 180  # brings x to about -1..1; GeoCLIP's (Vivanco Cepeda et al. 2023, arXiv 2309.16020)
HALF_ROOT_3 = math.sqrt(3) / 2


def equal_earth(latlon: Tensor) -> Tensor:
    """Places as (latitude, longitude) in degrees to scaled (x, y): [..., 2] -> [..., 2]."""
    latitude, longitude = torch.deg2rad(latlon).unbind(-1)
    theta = torch.asin(HALF_ROOT_3 * latitude.sin())
    square = theta**2
    slope = A1 + square * (3 * A2 + square**2 * (7 * A3 + 9 * A4 * square))
    x = longitude * theta.cos() / (HALF_ROOT_3 * slope)
    y = theta * (A1 + square * (A2 + square**2 * (A3 + A4 * square)))
    return SCALE * torch.stack((x, y), -1)
