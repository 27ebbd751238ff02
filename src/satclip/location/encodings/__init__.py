"""Positional encodings of (longitude, latitude): the `le_type` of a configuration.

| encoding                                                         | seam at the date line | longitude at the poles |
|------------------------------------------------------------------|-----------------------|------------------------|
| cartesian3d, sphericalharmonics, fourier, voronoi                | none                  | does not matter        |
| wrap                                                             | none                  | matters                |
| direct, grid, spherec, spherecplus, spherem, spheremplus, theory | yes                   | matters                |

`fourier`, `voronoi` and damped harmonics learn; the others are formulas.
"""

from satclip.location.encodings.fourier import Fourier
from satclip.location.encodings.multiscale import Grid, SphereC, SphereCPlus, SphereM, SphereMPlus, Theory
from satclip.location.encodings.protocol import Encoding
from satclip.location.encodings.simple import Cartesian3D, Direct, Wrap
from satclip.location.encodings.spherical_harmonics import SphericalHarmonics
from satclip.location.encodings.voronoi import Voronoi

REFERENCE: dict[str, type] = {  # those of the published system
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
ENCODINGS: dict[str, type] = REFERENCE | {encoding.name: encoding for encoding in (Fourier, Voronoi)}

__all__ = [
    "ENCODINGS",
    "REFERENCE",
    "Cartesian3D",
    "Direct",
    "Encoding",
    "Fourier",
    "Grid",
    "SphereC",
    "SphereCPlus",
    "SphereM",
    "SphereMPlus",
    "SphericalHarmonics",
    "Theory",
    "Voronoi",
    "Wrap",
]
