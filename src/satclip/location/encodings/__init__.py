"""Positional encodings of (longitude, latitude): the `le_type` of a configuration.

| encoding                                                         | seam at the date line | longitude at the poles |
|------------------------------------------------------------------|-----------------------|------------------------|
| cartesian3d, sphericalharmonics                                  | none                  | does not matter        |
| wrap                                                             | none                  | matters                |
| direct, grid, spherec, spherecplus, spherem, spheremplus, theory | yes                   | matters                |
"""

from satclip.location.encodings.multiscale import Grid, SphereC, SphereCPlus, SphereM, SphereMPlus, Theory
from satclip.location.encodings.protocol import Encoding
from satclip.location.encodings.simple import Cartesian3D, Direct, Wrap
from satclip.location.encodings.spherical_harmonics import SphericalHarmonics

ENCODINGS: dict[str, type] = {
    encoding.name: encoding
    for encoding in (
        Direct,
        Cartesian3D,
        Wrap,
        Grid,
        SphereC,
        SphereCPlus,
        SphereM,
        SphereMPlus,
        Theory,
        SphericalHarmonics,
    )
}

__all__ = [
    "ENCODINGS",
    "Cartesian3D",
    "Direct",
    "Encoding",
    "Grid",
    "SphereC",
    "SphereCPlus",
    "SphereM",
    "SphereMPlus",
    "SphericalHarmonics",
    "Theory",
    "Wrap",
]
