"""Sine layers (Sitzmann et al. 2020, arXiv 2006.09661)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.location.capture import recording
from satclip.location.networks.affine import applied


class Siren(nn.Module):
    """`hidden_layers` layers sin(omega (W x + b)), then an affine layer.

    `first_omega` is the omega of the first layer, `hidden_omega` of the others; the published models have 30 and 1,
    with `dropout` 0.5 on the argument of every sine while training.

    In the reference's checkpoints `first` is `layers.0`, `hidden.i` is `layers.(i + 1)` and `last` is `last_layer`.

    Raises:
        ValueError: when there is no hidden layer, or a frequency or the dropout is no number.
    """

    name = "siren"

    def __init__(
        self,
        in_dim: int,
        out_dim: int,
        *,
        hidden_dim: int = 512,
        hidden_layers: int = 2,
        first_omega: float = 30.0,
        hidden_omega: float = 1.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_finite(first_omega=first_omega, hidden_omega=hidden_omega, dropout=dropout)
        if hidden_layers < 1:
            raise ValueError(f"hidden_layers must be at least 1, got {hidden_layers}; for none use the linear network")
        self.first_omega, self.hidden_omega, self.dropout = first_omega, hidden_omega, dropout
        self.first = nn.Linear(in_dim, hidden_dim)
        self.hidden = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in range(hidden_layers - 1))
        self.last = nn.Linear(hidden_dim, out_dim)
        initialise(self.first, 1 / in_dim)
        for layer in (*self.hidden, self.last):
            initialise(layer, math.sqrt(6 / hidden_dim) / hidden_omega)

    def options(self) -> dict[str, object]:
        """Return the constructor's arguments except the widths in and out, ready for JSON."""
        return {
            "hidden_dim": self.first.out_features,
            "hidden_layers": len(self.hidden) + 1,
            "first_omega": self.first_omega,
            "hidden_omega": self.hidden_omega,
            "dropout": self.dropout,
        }

    def rest(self, hidden: Tensor) -> Tensor:
        """From what `first` gave, [..., hidden_dim], to the embedding [..., out_dim]."""
        hidden = self._sine(hidden, self.first_omega)
        for layer in self.hidden:
            hidden = self._sine(applied(layer, hidden), self.hidden_omega)
        return applied(self.last, hidden)

    def forward(self, features: Tensor) -> Tensor:
        """[..., in_dim] -> [..., out_dim]."""
        return self.rest(applied(self.first, features))

    def _sine(self, argument: Tensor, omega: float) -> Tensor:
        if self.training and self.dropout:
            argument = F.dropout(argument, self.dropout)
        if torch.is_grad_enabled() or recording():  # a graph that is recorded may be run with gradients
            return torch.sin(omega * argument)
        return argument.mul_(omega).sin_()  # in place: fresh memory costs as much as the sine


def check_finite(**options: object) -> None:
    """Refuse a frequency or a dropout that is no finite number.

    Raises:
        ValueError: names the first one.
    """
    for name, value in options.items():
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, got {value!r}")


def initialise(layer: nn.Module, bound: float) -> None:
    """Draw all weights of a layer evenly from -`bound` to `bound`."""
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -bound, bound)
