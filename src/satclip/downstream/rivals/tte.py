"""TTE, "Tessellating the Earth" (2026, ECCV, arXiv 2606.27514; MIT): soft Voronoi cells on the sphere.

The hub's `MVRL/TTE` holds `model.safetensors`: `location._directions` [K, 3], `._log_tau` [K], `._embeddings` [K, d],
`.semantic_registers.*` and `.mlp.*`. The annealed temperature of the registers is not in the file: the released model
runs with exp(log_temperature), though its training ended at 0.2; so does this one, to give the released numbers.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.sinr import Residual
from satclip.downstream.rivals.weights_file import fitted, read_state
from satclip.sphere import unit_vectors

HOME = "hub MVRL/TTE, model.safetensors"
GATE = 0.5
TRAINING_ONLY = ("semantic_registers.img_to_logits.", "semantic_registers._img_temperature")


class Registers(nn.Module):
    """Site embeddings [B, d] mixed half and half with what they attend to among R learned tokens: [B, D]."""

    def __init__(self, sites: int, out: int, tokens: int) -> None:
        super().__init__()
        self.registers = nn.Parameter(torch.zeros(tokens, out))
        self.loc_to_logits = nn.Linear(sites, tokens)
        self.site_to_out = nn.Linear(sites, out) if sites != out else None
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.norm = nn.LayerNorm(out)

    def forward(self, site: Tensor) -> Tensor:
        """[B, d] -> [B, D]."""
        temperature = self.log_temperature.exp().clamp(0.01, 10)
        attended = torch.softmax(self.loc_to_logits(site) / temperature, -1) @ self.registers
        projected = site if self.site_to_out is None else self.site_to_out(site)
        mixed: Tensor = self.norm((1 - GATE) * projected + GATE * attended)
        return mixed


class TTE(nn.Module):
    """(latitude, longitude) in degrees [B, 2] to unit vectors [B, D]."""

    def __init__(self, count: int, sites: int, out: int, hidden: int, depth: int, tokens: int) -> None:
        super().__init__()
        self._directions = nn.Parameter(torch.zeros(count, 3))
        self._log_tau = nn.Parameter(torch.zeros(count))
        self._embeddings = nn.Parameter(torch.zeros(count, sites))
        self.semantic_registers = Registers(sites, out, tokens)
        blocks = [Residual(hidden) for _ in range(depth)]
        self.mlp = nn.Sequential(nn.Linear(out, hidden), nn.ReLU(), *blocks, nn.Linear(hidden, out, bias=False))

    def forward(self, latlon: Tensor) -> Tensor:
        """[B, 2] -> [B, D]."""
        places = unit_vectors(latlon.flip(-1)).float()
        sharpened = F.normalize(self._directions, dim=-1) * self._log_tau.exp()[:, None]
        site = torch.softmax(places @ sharpened.T, -1) @ self._embeddings
        return F.normalize(self.mlp(self.semantic_registers(site)), dim=-1)


def tte(path: Path, *, name: str = "tte") -> Frozen:
    """TTE's location encoder, [N, 2] -> [N, 512].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the tensors do not fit; names them.
    """
    state = read_state(path, prefix="model.")
    state = {key.removeprefix("location."): value for key, value in state.items() if key.startswith("location.")}
    state = {key: value for key, value in state.items() if not key.startswith(TRAINING_ONLY)}
    remedy = f"Give a file as it was published ({HOME})"
    sized = ("_embeddings", "mlp.0.weight", "semantic_registers.registers")
    missing = [f"location.{key}" for key in sized if key not in state]
    if missing:
        raise ValueError(f"{path} does not fit: {', '.join(missing)} is missing. {remedy}")
    (count, sites), (hidden, out) = state["_embeddings"].shape, state["mlp.0.weight"].shape
    depth = sum(key.endswith(".w1.weight") for key in state)
    network = TTE(count, sites, out, hidden, depth, len(state["semantic_registers.registers"]))
    return Frozen(name, GLOBE, fitted(network, state, source=str(path), remedy=remedy), latitude_first=True)
