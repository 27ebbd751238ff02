"""SINR (Cole et al. 2023, ICML, arXiv 2306.02564): species ranges from iNaturalist, a residual network on two circles.

The authors' `pretrained_models.zip` (data.caltech.edu, record dk5g7-rhq64) holds `.pt` files: a dict with `params` and
`state_dict`, whose names are `feats.0` (Linear 4-256), `feats.i.w1`, `.w2` (residual layers, i = 2, 3, ...) and
`class_emb`, which is ignored. Models with environmental rasters as input (24 numbers) need those rasters and are
refused. The package `sinr` on PyPI is something else.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.weights_file import fitted, read_state

HOME = "pretrained_models.zip, data.caltech.edu/records/dk5g7-rhq64"
INPUTS = 4


class Residual(nn.Module):
    """x + ReLU(w2 ReLU(w1 x)); the dropout between them is for training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1, self.w2 = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, width] -> the same shape."""
        return hidden + torch.relu(self.w2(torch.relu(self.w1(hidden))))


class SINR(nn.Module):
    """(longitude, latitude) in degrees [B, 2] -> [B, width]."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        blocks = [Residual(width) for _ in range(depth)]
        self.feats = nn.Sequential(nn.Linear(INPUTS, width), nn.ReLU(), *blocks)

    def forward(self, lonlat: Tensor) -> Tensor:
        """sin pi lon', sin pi lat', cos pi lon', cos pi lat' with lon / 180 and lat / 90, then the layers."""
        phase = torch.pi * lonlat / lonlat.new_tensor([180.0, 90.0])
        embedding: Tensor = self.feats(torch.cat((phase.sin(), phase.cos()), -1).float())
        return embedding


def sinr(path: Path, *, name: str = "sinr") -> Frozen:
    """The location encoder of a SINR checkpoint that takes coordinates alone, [N, 2] -> [N, 256].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it wants environmental inputs, or its tensors do not fit; names them.
    """
    state = read_state(path, ignored=("class_emb.",))
    first = state.get("feats.0.weight")
    if first is None:
        raise ValueError(f"{path} does not fit: feats.0.weight is missing. Give a file as it was published ({HOME})")
    width, inputs = first.shape
    if inputs != INPUTS:
        raise ValueError(
            f"{path.name} takes {inputs} inputs: with environmental rasters, which are not at hand here; "
            f"give a model of coordinates alone (input_enc sin_cos) from {HOME}"
        )
    depth = sum(key.endswith(".w1.weight") for key in state)
    network = fitted(SINR(width, depth), state, source=str(path), remedy=f"Give a file as it was published ({HOME})")
    return Frozen(name, GLOBE, network)
