"""Sine layers whose first frequency is another one for each band of degrees."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.location.networks.siren import Siren


class BandedLinear(nn.Linear):
    """An affine layer with groups of units, each of which sees its own run of the features.

    Weights between a unit and features of another group are zero, and stay zero in training.

    Args:
        columns: where each group's features end, ascending, the last one `in_dim`.
        hidden_dim: units, dealt out evenly in order.
    """

    mask: Tensor  # [hidden_dim, in_dim], 1 where a unit sees a feature

    def __init__(self, columns: Sequence[int], hidden_dim: int) -> None:
        super().__init__(columns[-1], hidden_dim)
        ends = [round(hidden_dim * (band + 1) / len(columns)) for band in range(len(columns))]
        mask = torch.zeros(hidden_dim, columns[-1])
        rows, starts = [0, *ends], [0, *columns]
        with torch.no_grad():
            for band, (low, high) in enumerate(pairwise(starts)):
                units = slice(rows[band], rows[band + 1])
                mask[units, low:high] = 1
                for parameter in (self.weight, self.bias):
                    parameter[units].uniform_(-1 / (high - low), 1 / (high - low))
            self.weight.mul_(mask)
        self.register_buffer("mask", mask, persistent=False)
        self.units = tuple(after - before for before, after in pairwise(rows))

    def seen_weight(self) -> Tensor:
        """The weights that count, [hidden_dim, in_dim]."""
        return self.weight * self.mask

    def forward(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., hidden_dim]."""
        return F.linear(features, self.seen_weight(), self.bias)


class BandedSiren(Siren):
    """A `Siren` on spherical harmonics whose first layer has a w0 for each band of degrees.

    A band's w0 is `first_omega` times its factor. With `degrees` (4, 12), `factors` (6, 2, 1) and `first_omega` 5 a
    third of the first layer's units are sin(30 (W x + b)) of the features of degrees 0 to 3, a third
    sin(10 (W x + b)) of degrees 4 to 11, and the rest sin(5 (W x + b)) of those above; their weights start within
    1 / (features that they see), as in a `Siren`. The layers after it mix all bands. One w0 for all degrees cannot be
    right for all: the finest harmonics of L = 40 turn 39 times where the coarsest turn once, and 30, the published
    value, folds them many times over. Sine layers are those of Sitzmann et al. 2020 (arXiv 2006.09661); that a band has
    a w0 of its own is ours.

    Args:
        in_dim: features of the harmonics, L * L.
        out_dim: dimensions of the embedding.
        degrees: where bands begin, ascending, without the 0 of the first one. Bands that begin at L or above it are
            left out, so that L may be varied alone.
        factors: one for each band, one more than `degrees`.
        first_omega: what they multiply.
        hidden_dim: as of `Siren`.
        hidden_layers: as of `Siren`.
        hidden_omega: as of `Siren`.
        dropout: as of `Siren`.

    Raises:
        ValueError: the features are not L * L, the bands do not rise, there is not one factor for each, or fewer units
            than bands.
    """

    name = "banded_siren"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        degrees: Sequence[int] = (4, 12),
        factors: Sequence[float] = (6.0, 2.0, 1.0),
        hidden_dim: int = 512,
        hidden_layers: int = 2,
        first_omega: float = 5.0,
        hidden_omega: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        polys = math.isqrt(in_dim)
        if polys**2 != in_dim:
            raise ValueError(f"banded_siren needs the L * L features of le_type=sphericalharmonics, got {in_dim}")
        if [0, *degrees] != sorted({0, *degrees}):
            raise ValueError(f"degrees must rise from above 0, got {list(degrees)}")
        if len(factors) != len(degrees) + 1:
            raise ValueError(f"factors must be one for each of the {len(degrees) + 1} bands, got {list(factors)}")
        if not all(isinstance(factor, (int, float)) and math.isfinite(factor) for factor in factors):
            raise ValueError(f"factors must be finite numbers, got {list(factors)}")
        if hidden_dim < len(factors):
            raise ValueError(f"hidden_dim={hidden_dim} leaves a band without a unit; give {len(factors)} or more")
        columns = [degree**2 for degree in (*degrees, polys) if degree < polys] + [in_dim]
        super().__init__(
            in_dim,
            out_dim,
            hidden_dim=hidden_dim,
            hidden_layers=hidden_layers,
            first_omega=first_omega,
            hidden_omega=hidden_omega,
            dropout=dropout,
        )
        self.degrees, self.factors = tuple(degrees), tuple(factors)
        self.first = first = BandedLinear(columns, hidden_dim)
        own = [float(factor) for factor, count in zip(factors, first.units, strict=False) for _ in range(count)]
        self.register_buffer("factor", torch.tensor(own), persistent=False)

    factor: Tensor  # [hidden_dim], of each unit of the first layer

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out, ready for JSON."""
        return {"degrees": list(self.degrees), "factors": list(self.factors), **super().options()}

    def rest(self, hidden: Tensor) -> Tensor:
        """From what `first` gave, [..., hidden_dim], to the embedding [..., out_dim]."""
        return super().rest(hidden * self.factor)
