"""MIND (Corley et al. 2026, arXiv 2609.25454; MIT): a wide residual SIREN whose first columns are the smooth ones.

The hub's `taylor-geospatial/MIND` holds `mind.safetensors`: `first.linear` (2 -> 3072), `blocks.i.linear` (12 of them),
`year_freqs`, and perhaps `head`, which is ignored: the vectors are the trunk's. Whether the released file carries more
than these is not known here; whatever does not fit is refused by name. Layout: mind_standalone.py of the repository.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from satclip.downstream.rivals.equal_earth import equal_earth
from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.weights_file import fitted, read_state

HOME = "hub taylor-geospatial/MIND, mind.safetensors"
NESTED = (64, 128, 256, 512, 1024, 2048, 3072)
FIRST_OMEGA = 30.0


class Sine(nn.Module):
    """sin(omega (W x + b))."""

    def __init__(self, inputs: int, outputs: int, omega: float) -> None:
        super().__init__()
        self.linear, self.omega = nn.Linear(inputs, outputs), omega

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, inputs] -> [B, outputs]."""
        return torch.sin(self.omega * self.linear(hidden))


class MIND(nn.Module):
    """(latitude, longitude) in degrees [B, 2] -> the first `kept` columns of the trunk, [B, kept]."""

    def __init__(self, width: int, depth: int, kept: int) -> None:
        super().__init__()
        self.first = Sine(2, width, FIRST_OMEGA)
        self.blocks = nn.ModuleList(Sine(width, width, 1.0) for _ in range(depth))
        self.kept = kept

    def forward(self, latlon: Tensor) -> Tensor:
        """[B, 2] -> [B, kept]."""
        hidden = self.first(equal_earth(latlon).float())
        for block in self.blocks:
            hidden = hidden + block(hidden)
        kept: Tensor = hidden[:, : self.kept]
        return kept


def mind(path: Path, *, dim: int | None = None, name: str | None = None) -> Frozen:
    """MIND's encoder, [N, 2] -> [N, dim], with its nested widths as `blocks`.

    Args:
        path: the file of weights.
        dim: the first so many columns, 64 for the smooth ones; by default all 3,072.
        name: the row's name.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: `dim` is more than there are, the model wants a year, or the tensors do not fit; names them.
    """
    state = {key: value.float() for key, value in read_state(path, ignored=("head.", "year_freqs")).items()}
    remedy = f"Give a file as it was published ({HOME})"
    first = state.get("first.linear.weight")
    if first is None:
        raise ValueError(f"{path} does not fit: first.linear.weight is missing. {remedy}")
    width, inputs = first.shape
    if inputs != 2:
        raise ValueError(f"{path.name} takes {inputs} inputs, a year among them; give the model of coordinates alone")
    if dim is not None and not 1 <= dim <= width:
        raise ValueError(f"dim must be 1 to {width}, got {dim}")
    kept = dim or width
    depth = sum(key.startswith("blocks.") and key.endswith(".linear.weight") for key in state)
    network = fitted(MIND(width, depth, kept), state, source=str(path), remedy=remedy)
    blocks = (*(each for each in NESTED if each < kept), kept)
    label = name or ("mind" if dim is None else f"mind, {dim}")
    return Frozen(label, GLOBE, network, latitude_first=True, blocks=blocks, described=str(kept), rows=1024)
