"""Climplicit (Dollinger et al. 2025, arXiv 2504.05089): a residual SIREN that regressed the CHELSA climatology.

The hub's `Jobedo/climplicit` holds `model.safetensors` with `location_encoder.layers.i.weight`, `.bias` (16 of width
512), `location_encoder.last_layer` (256) and `chelsa_regressor`, which is ignored. The package `climplicit` on PyPI is
something else. Formulas: ecovision-uzh/climplicit, quickstart/.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.weights_file import fitted, read_state

HOME = "hub Jobedo/climplicit, model.safetensors"
MONTHS = (3, 6, 9, 12)  # what the authors join where no month is given
FIRST_OMEGA = 30.0
INPUTS = 4


class Climplicit(nn.Module):
    """(longitude, latitude) in degrees [B, 2] to the embeddings of the months, side by side: [B, 256 * months]."""

    def __init__(self, width: int, out: int, depth: int, months: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width if i else INPUTS, width) for i in range(depth))
        self.last_layer = nn.Linear(width, out)
        self.months = tuple(months)

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] -> [B, out * months]."""
        unit = lonlat / lonlat.new_tensor([180.0, 90.0])
        return torch.cat([self._month(unit, month) for month in self.months], -1)

    def _month(self, unit: Tensor, month: int) -> Tensor:
        angle = unit.new_tensor(2 * torch.pi * month / 12).expand(len(unit), 1)
        argument = self.layers[0](torch.cat((unit, angle.sin(), angle.cos()), -1).float())
        hidden = torch.sin(FIRST_OMEGA * torch.sinh(2 * argument))
        for layer in self.layers[1:]:  # the residue is of what goes into the sine, and halves it
            argument = (layer(hidden) + argument) / 2
            hidden = torch.sin(argument)
        embedding: Tensor = self.last_layer(hidden)
        return embedding


def climplicit(path: Path, *, month: int | None = None, name: str | None = None) -> Frozen:
    """Climplicit's encoder: of one month [N, 256], or of March, June, September and December joined [N, 1024].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: `month` is not 1 to 12, or the tensors do not fit; names them.
    """
    if month is not None and not 1 <= month <= 12:
        raise ValueError(f"month must be 1 to 12, got {month}")
    state = read_state(path, prefix="location_encoder.", ignored=("chelsa_regressor.", "pos_embedding."))
    remedy = f"Give a file as it was published ({HOME})"
    first, last = state.get("layers.0.weight"), state.get("last_layer.weight")
    if first is None or last is None:
        missing = " and ".join(f"{key}.weight" for key in ("layers.0", "last_layer") if f"{key}.weight" not in state)
        raise ValueError(f"{path} does not fit: {missing} is missing. {remedy}")
    depth = sum(key.startswith("layers.") and key.endswith(".weight") for key in state)
    months = MONTHS if month is None else (month,)
    network = fitted(Climplicit(len(first), len(last), depth, months), state, source=str(path), remedy=remedy)
    label = name or ("climplicit" if month is None else f"climplicit, month {month}")
    return Frozen(label, GLOBE, network, described=str(months))
