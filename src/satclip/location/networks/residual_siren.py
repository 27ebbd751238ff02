"""Sine layers that add to what they are given."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.location.networks.affine import applied
from satclip.location.networks.siren import check_finite, initialise


class ResidualSiren(nn.Module):
    """h = sin(w0 (W x + b)), then `hidden_layers` times h + sin(w (W h + b)), then an affine layer.

    The trunk of MIND (Corley et al. 2026, arXiv 2609.25454), which has 12 blocks of 3,072 units, w0 = 30 and w = 1, on
    Equal Earth coordinates and without the last layer. What lies deeper adds detail and need not carry the rest.
    Weights start as those of a SIREN (Sitzmann et al. 2020): MIND's own start is not known here.

    Raises:
        ValueError: when there is no block, or a frequency or the dropout is no number.
    """

    name = "residual_siren"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        hidden_dim: int = 512,
        hidden_layers: int = 4,
        first_omega: float = 30.0,
        hidden_omega: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_finite(first_omega=first_omega, hidden_omega=hidden_omega, dropout=dropout)
        if hidden_layers < 1:
            raise ValueError(f"hidden_layers must be at least 1, got {hidden_layers}; for one sine layer use siren")
        self.first_omega, self.hidden_omega, self.dropout = first_omega, hidden_omega, dropout
        self.first = nn.Linear(in_dim, hidden_dim)
        self.hidden = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(hidden_layers))
        self.last = nn.Linear(hidden_dim, out_dim)
        initialise(self.first, 1 / in_dim)
        for layer in (*self.hidden, self.last):
            initialise(layer, math.sqrt(6 / hidden_dim) / hidden_omega)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out, ready for JSON."""
        return {
            "hidden_dim": self.first.out_features,
            "hidden_layers": len(self.hidden),
            "first_omega": self.first_omega,
            "hidden_omega": self.hidden_omega,
            "dropout": self.dropout,
        }

    def rest(self, hidden: Tensor) -> Tensor:
        """From what `first` gave, [..., hidden_dim], to the embedding [..., out_dim]."""
        hidden = torch.sin(self.first_omega * self._thinned(hidden))
        for layer in self.hidden:
            hidden = hidden + torch.sin(self.hidden_omega * self._thinned(applied(layer, hidden)))
        return applied(self.last, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., out_dim]."""
        return self.rest(applied(self.first, features))

    def _thinned(self, argument: Tensor) -> Tensor:
        return F.dropout(argument, self.dropout) if self.training and self.dropout else argument
