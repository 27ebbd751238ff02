"""Random Fourier features of the point on the sphere, in bands whose width is learned."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from satclip.location.encodings.protocol import feature_dtype, wide_degrees
from satclip.sphere import unit_vectors

KEPT = torch.float32  # in which directions are drawn and saved; a narrower float would turn every phase


class Fourier(nn.Module):
    """cos(s_b w.x), sin(s_b w.x) of the unit vector x, for `frequencies` directions w ~ N(0, I_3) of each of `bands`.

    With them a linear layer has the kernel exp(-(s_b |x - y|)^2 / 2) of each band (Rahimi and Recht 2007; Tancik et
    al. 2020, arXiv 2006.10739; several bands at once as in GeoCLIP, Vivanco Cepeda et al. 2023, on the plane there):
    its reach is 1 / s_b Earth radii. The bandwidths s_b are learned, as exp of a number each; they start in geometric
    steps from `min_bandwidth` to `max_bandwidth`, 1 and 64 being 6,371 and 100 km. Features are those of the coarsest
    band first, of each band all cosines, then all sines.

    No seam at the date line, no dependence on longitude at the poles. The directions are drawn from `seed`, or by the
    seed of the run where it is None, and saved with the model, as float32 whatever its own type is.

    Raises:
        ValueError: when there are no bands or frequencies, or a bandwidth is not positive and finite.
    """

    name = "fourier"
    directions: Tensor  # [bands, frequencies, 3]

    def __init__(
        self,
        bands: int = 4,
        frequencies: int = 64,
        min_bandwidth: float = 1.0,
        max_bandwidth: float = 64.0,
        seed: int | None = None,
    ) -> None:
        super().__init__()
        if bands < 1 or frequencies < 1:
            raise ValueError(f"bands and frequencies must be at least 1, got {bands} and {frequencies}")
        if not (0 < min_bandwidth < math.inf and 0 < max_bandwidth < math.inf):
            raise ValueError(f"bandwidths must be positive and finite, got {min_bandwidth} and {max_bandwidth}")
        self.bands, self.frequencies, self.seed = bands, frequencies, seed
        self.min_bandwidth, self.max_bandwidth = min_bandwidth, max_bandwidth
        self.dim = 2 * bands * frequencies
        steps = torch.linspace(math.log(min_bandwidth), math.log(max_bandwidth), bands)
        self.log_bandwidth = nn.Parameter(steps)
        directions = torch.empty(bands, frequencies, 3, dtype=KEPT)
        if directions.device.type != "meta":  # there are no numbers to draw where there is no memory
            generator = None if seed is None else torch.Generator("cpu").manual_seed(seed)
            directions.copy_(torch.randn(directions.shape, dtype=KEPT, device="cpu", generator=generator))
        self.register_buffer("directions", directions)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments, ready for JSON."""
        return {
            "bands": self.bands,
            "frequencies": self.frequencies,
            "min_bandwidth": self.min_bandwidth,
            "max_bandwidth": self.max_bandwidth,
            "seed": self.seed,
        }

    def forward(self, lonlat: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """[..., 2] degrees -> [..., 2 * bands * frequencies] in `dtype`, by default that of `lonlat`."""
        places = unit_vectors(wide_degrees(lonlat))[..., None, None, :]  # [..., 1, 1, 3]
        along = (places * self.directions.to(places.dtype)).sum(-1)  # no matrix product: that is autocast's on MPS
        phase = along * self.log_bandwidth.to(places.dtype).exp()[:, None]
        return torch.stack((phase.cos(), phase.sin()), -2).flatten(-3).to(feature_dtype(lonlat, dtype))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Fourier":
        kept = self.directions
        rest: Callable[..., nn.Module] = super()._apply
        rest(fn, recurse)
        if self.directions.dtype != KEPT:
            self.directions = kept.to(self.directions.device)
        return self
