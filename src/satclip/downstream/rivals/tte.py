"""TTE, "Tessellating the Earth" (2026, ECCV, arXiv 2606.27514; MIT): `le_type=voronoi` with its published weights.

The annealed temperature of the tokens is not in the file: the released model runs with exp(log_temperature), though its
training ended at 0.2; so does this one, to give the released numbers.
"""

import json
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.weights_file import read_state
from satclip.location.encoder import LocationEncoder
from satclip.location.tte import tte_encoder


class Unit(nn.Module):
    """An encoder's embeddings, of length one: [B, 2] -> [B, D]."""

    def __init__(self, encoder: LocationEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, lonlat: Tensor) -> Tensor:
        """Degrees [B, 2] -> [B, D]."""
        return F.normalize(self.encoder(lonlat), dim=-1)


def tte(path: Path, *, name: str = "tte") -> Frozen:
    """TTE's location encoder, [N, 2] -> [N, 512].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the tensors do not fit; names them.
    """
    encoder = tte_encoder(read_state(path, prefix="model."), source=str(path))
    return Frozen(name, GLOBE, Unit(encoder), described=json.dumps(encoder.config(), sort_keys=True))
