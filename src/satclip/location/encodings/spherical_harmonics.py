"""The encoding that SatCLIP is known for: real spherical harmonics of the place."""

import torch
from torch import Tensor

from satclip.harmonics import HarmonicTables, evaluate_harmonics, harmonic_tables, many_harmonics
from satclip.location.capture import only_numbers
from satclip.location.encodings.constants import FixedPrecision
from satclip.location.encodings.protocol import feature_dtype


class SphericalHarmonics(FixedPrecision):
    """Real spherical harmonics of degrees below `legendre_polys`: L * L features, l = 0..L-1, m = -l..l in order.

    No seam at the date line, no dependence on longitude at the poles. `harmonics_calculation` is "orthonormal" (what
    new models should use), "analytic" (m = 0 times pi: all published models) or "closed-form" (odd m negated).

    Raises:
        ValueError: when `legendre_polys` is not 1 to 100, or `harmonics_calculation` is none of the three.
    """

    name = "sphericalharmonics"

    def __init__(self, legendre_polys: int = 40, harmonics_calculation: str = "orthonormal") -> None:
        super().__init__()
        for name, table in harmonic_tables(legendre_polys, harmonics_calculation)._asdict().items():
            self.register_constant(name, table)
        self.legendre_polys, self.harmonics_calculation = legendre_polys, harmonics_calculation
        self.dim = legendre_polys**2

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments, ready for JSON."""
        return {"legendre_polys": self.legendre_polys, "harmonics_calculation": self.harmonics_calculation}

    @property
    def tables(self) -> HarmonicTables:
        """The constants, on the module's device."""
        return HarmonicTables(**{name: getattr(self, name) for name in HarmonicTables._fields})

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., L * L] in `dtype`, by default that of `lonlat`."""
        places, dtype = lonlat.reshape(-1, 2), feature_dtype(lonlat, dtype)
        if only_numbers(places) and not (torch.is_grad_enabled() and places.requires_grad):
            features = many_harmonics(places, self.tables, self.harmonics_calculation, dtype)
        else:
            features = evaluate_harmonics(places, self.tables, dtype)
        return features.reshape(*lonlat.shape[:-1], self.dim)
