"""The feed-forward network of CSP, Space2Vec, Sphere2Vec and TorchSpatial, with the names of their files.

Mai et al. 2020 (ICLR, arXiv 2003.00824), 2023 (Sphere2Vec, arXiv 2306.17624; CSP, arXiv 2305.01118); layout read from
gengchenmai/csp and seai-lab/TorchSpatial, `main/module.py`.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, nn.Module] = {
    "relu": nn.ReLU(),
    "leakyrelu": nn.LeakyReLU(0.2),
    "gelu": nn.GELU(),
    "sigmoid": nn.Sigmoid(),
    "tanh": nn.Tanh(),
}
NEEDED = ("num_filts", "hidden_dim", "num_hidden_layer", "spa_f_act", "use_layn", "skip_connection")


class Layer(nn.Module):
    """Linear, activation, skip (where the widths agree), layer norm: in this order, the last layer activated too."""

    def __init__(self, inputs: int, outputs: int, activation: nn.Module, *, skip: bool, norm: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.activation, self.skip = activation, skip and inputs == outputs
        self.layernorm = nn.LayerNorm(outputs) if norm else None

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, inputs] -> [B, outputs]."""
        answer: Tensor = self.activation(self.linear(hidden))
        answer = answer + hidden if self.skip else answer
        return answer if self.layernorm is None else self.layernorm(answer)


class FeedForward(nn.Module):
    """Features [B, F] to the location embedding [B, num_filts]; weights are `layers.i.linear` and `.layernorm`."""

    def __init__(self, inputs: int, params: Mapping[str, Any]) -> None:
        super().__init__()
        hidden, count, out = params["hidden_dim"], params["num_hidden_layer"], params["num_filts"]
        activation = ACTIVATIONS[params["spa_f_act"]]
        skip, norm = bool(params["skip_connection"]), bool(params["use_layn"])
        widths = [inputs, *[hidden] * count]
        layers = [Layer(before, after, activation, skip=skip, norm=norm) for before, after in pairwise(widths)]
        self.layers = nn.ModuleList([*layers, Layer(widths[-1], out, activation, skip=False, norm=False)])

    def forward(self, features: Tensor) -> Tensor:
        """[B, F] -> [B, num_filts], in the weights' dtype."""
        hidden = features.float()
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden


class SpatialEncoder(nn.Module):
    """Places in degrees [B, 2] through `features` to `ffn`; coordinates are rounded to float32 first, as theirs are.

    That rounding is part of the model: at a radius of 1e-4 it moves a phase by tenths.
    """

    def __init__(self, features: nn.Module, ffn: FeedForward) -> None:
        super().__init__()
        self.features, self.ffn = features, ffn

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] -> [B, num_filts]."""
        embedding: Tensor = self.ffn(self.features(lonlat.float().double()))
        return embedding


def check_params(params: Mapping[str, Any], needed: tuple[str, ...], *, source: str) -> None:
    """Refuse hyperparameters that do not say how to build the network.

    Raises:
        ValueError: names what is missing, or the activation that is not known.
    """
    missing = [name for name in (*NEEDED, *needed) if name not in params]
    if missing:
        raise ValueError(f"{source} lacks the hyperparameters {', '.join(missing)}; give the file as it was published")
    if params["spa_f_act"] not in ACTIVATIONS:
        raise ValueError(
            f"{source}: the activation {params['spa_f_act']!r} is none of {', '.join(ACTIVATIONS)}; "
            "give the file as it was published"
        )


def described(params: Mapping[str, Any], scales: tuple[str, ...]) -> str:
    """What the weights do not tell of the network, for a fingerprint."""
    return str([params.get(name) for name in ("spa_enc_type", *NEEDED, *scales)])


def frequencies(params: Mapping[str, Any]) -> Tensor:
    """1 / r for `frequency_num` radii in geometric steps from `min_radius` to `max_radius`: float64 [F]."""
    count, low, high = params["frequency_num"], float(params["min_radius"]), float(params["max_radius"])
    exponent = torch.arange(count, dtype=torch.float64) / max(count - 1, 1)
    radii: Tensor = low * (high / low) ** exponent
    return 1 / radii
