"""CSP (Mai et al. 2023, ICML, arXiv 2305.01118): contrastive pretraining of a grid-cell encoder on fMoW or iNat 2018.

The authors' `model_dir.zip` (linked from github.com/gengchenmai/csp) holds files `*.pth.tar`: a dict with `params` (all
hyperparameters) and `state_dict` (`spa_enc.ffn.layers.i.linear`, `.layernorm`; often once more below `loc_enc.`). The
input is (longitude / 180, latitude / 90), and the features are Space2Vec's grid of it.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from satclip.downstream.rivals.feed_forward import FeedForward, SpatialEncoder, check_params, described
from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.torchspatial import HEADS, SCALES, Grid, hyperparameters
from satclip.downstream.rivals.weights_file import fitted, read_state

HOME = "model_dir.zip, linked from github.com/gengchenmai/csp"
IGNORED = (*HEADS, "img_dec.", "loc_dec.", "loc_enc.")
KIND = "gridcell"


class UnitGrid(nn.Module):
    """Longitude / 180 and latitude / 90 in float32, as CSP rounds them, then the grid."""

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.grid = grid

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, 4 * frequencies]."""
        unit = lonlat.float() / torch.tensor([180.0, 90.0])
        features: Tensor = self.grid(unit.double())
        return features


def csp(path: Path, *, name: str | None = None) -> Frozen:
    """The location encoder of a CSP checkpoint, [N, 2] -> [N, 256].

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: its hyperparameters are of another encoder, or its tensors do not fit; names them.
    """
    params = hyperparameters(path)
    check_params(params, SCALES, source=str(path))
    if params.get("spa_enc_type", KIND) != KIND:
        raise ValueError(f"{path.name} is an encoder of kind {params['spa_enc_type']!r}, not {KIND}; give {HOME}")
    grid = Grid(params)
    network = SpatialEncoder(UnitGrid(grid), FeedForward(grid.dim, params))
    state = read_state(path, prefix="spa_enc.", ignored=IGNORED)
    fitted(network, state, source=str(path), remedy=f"Give a file as it was published ({HOME})")
    return Frozen(
        name or f"csp {params.get('dataset', '')}".strip(), GLOBE, network, described=described(params, SCALES)
    )
