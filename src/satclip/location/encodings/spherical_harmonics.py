"""The encoding that SatCLIP is known for: real spherical harmonics of the place."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from satclip.harmonics import HarmonicTables, evaluate_harmonics, harmonic_tables, many_harmonics
from satclip.location.capture import only_numbers
from satclip.location.encodings.constants import FixedPrecision
from satclip.location.encodings.protocol import feature_dtype

Damping = Literal["none", "fixed", "learned"]


class SphericalHarmonics(FixedPrecision):
    """Real spherical harmonics of degrees below `legendre_polys`: L * L features, l = 0..L-1, m = -l..l in order.

    No seam at the date line, no dependence on longitude at the poles. `harmonics_calculation` is "orthonormal" (what
    new models should use), "analytic" (m = 0 times pi: all published models) or "closed-form" (odd m negated).

    Damping makes the features of degree l smaller by (1 + l)^-`damping_exponent`: an encoder of many degrees then
    starts out smooth, and a weight of one size costs the more roughness the finer its feature. It is the classical
    smoothness prior on a sphere, the power spectrum of a field with that exponent (Wahba 1981, SIAM J. Sci. Stat.
    Comput. 2). "fixed" keeps it, "learned" has a factor exp(g_l) for each degree beside it, g_l = 0 at the start.

    Raises:
        ValueError: when `legendre_polys` is not 1 to 100, `harmonics_calculation` or `damping` is none of the three, or
            the exponent is no number.
    """

    name = "sphericalharmonics"
    degree: Tensor  # [L * L], of each feature; where they are damped

    def __init__(
        self,
        legendre_polys: int = 40,
        harmonics_calculation: str = "orthonormal",
        damping: Damping = "none",
        damping_exponent: float = 1.0,
    ) -> None:
        super().__init__()
        if damping not in get_args(Damping):
            raise ValueError(f"damping must be one of {', '.join(get_args(Damping))}, got {damping!r}")
        if not math.isfinite(damping_exponent):
            raise ValueError(f"damping_exponent must be a finite number, got {damping_exponent}")
        for name, table in harmonic_tables(legendre_polys, harmonics_calculation)._asdict().items():
            self.register_constant(name, table)
        self.legendre_polys, self.harmonics_calculation = legendre_polys, harmonics_calculation
        self.damping, self.damping_exponent = damping, damping_exponent
        self.dim = legendre_polys**2
        if damping != "none":
            degrees = torch.arange(legendre_polys, device="cpu")
            self.register_constant("degree", degrees.repeat_interleave(2 * degrees + 1))
            self.register_constant("fixed_gain", (1 + degrees.double()) ** -damping_exponent)
        self.log_gain = nn.Parameter(torch.zeros(legendre_polys)) if damping == "learned" else None

    fixed_gain: Tensor  # [L]; where they are damped

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments, ready for JSON; of damping nothing where there is none."""
        damping = {"damping": self.damping, "damping_exponent": self.damping_exponent}
        return {
            "legendre_polys": self.legendre_polys,
            "harmonics_calculation": self.harmonics_calculation,
            **({} if self.damping == "none" else damping),
        }

    @property
    def tables(self) -> HarmonicTables:
        """The constants, on the module's device."""
        return HarmonicTables(**{name: getattr(self, name) for name in HarmonicTables._fields})

    def gain(self, dtype: torch.dtype) -> Tensor | None:
        """What each feature is multiplied by, [L * L]; None where nothing is damped."""
        if self.damping == "none":
            return None
        gain = self.fixed_gain if self.log_gain is None else self.fixed_gain * self.log_gain.to(self.fixed_gain).exp()
        return gain[self.degree].to(dtype)

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., L * L] in `dtype`, by default that of `lonlat`."""
        places, dtype = lonlat.reshape(-1, 2), feature_dtype(lonlat, dtype)
        if only_numbers(places) and not (torch.is_grad_enabled() and places.requires_grad):
            features = many_harmonics(places, self.tables, self.harmonics_calculation, dtype)
        else:
            features = evaluate_harmonics(places, self.tables, dtype)
        gain = self.gain(dtype)
        damped = features if gain is None else features * gain
        return damped.reshape(*lonlat.shape[:-1], self.dim)
