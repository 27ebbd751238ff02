"""The pretrained encoders of TorchSpatial (Wu et al. 2024, NeurIPS, arXiv 2406.15658; MIT).

A file holds a state dict: `spa_enc.ffn.layers.i.linear`, `.layernorm`, and the heads `class_emb` and `user_emb`, which
are ignored. Its hyperparameters lie under its name in a `params.json` beside it, or in the file as `params`. The
encoders were supervised by the classes of fMoW or YFCC100M-GEO100 over the whole globe. Formulas and order of columns
are those of seai-lab/TorchSpatial, `main/SpatialRelationEncoder.py`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from satclip.downstream.rivals.feed_forward import FeedForward, SpatialEncoder, check_params, described, frequencies
from satclip.downstream.rivals.frozen import GLOBE, Frozen
from satclip.downstream.rivals.weights_file import fitted, read_content, read_state

SCALES = ("frequency_num", "min_radius", "max_radius")
HEADS = ("class_emb.", "user_emb.")
PREFIX = "spa_enc."
PARAMS = "params.json"
HOME = "github.com/seai-lab/TorchSpatial, pre_trained_models"


class Wrapped(nn.Module):
    """sin pi lon', sin pi lat', cos pi lon', cos pi lat' of lon / 180 and lat / 90: the two poles are one place."""

    dim = 4

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, 4]."""
        phase = torch.pi * lonlat / lonlat.new_tensor([180.0, 90.0])
        return torch.cat((phase.sin(), phase.cos()), -1)


class Scaled(nn.Module):
    """Features of every radius, all of one radius together."""

    frequency: Tensor
    per_frequency: int

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.register_buffer("frequency", frequencies(params), persistent=False)
        self.dim = self.per_frequency * params["frequency_num"]


class SphereC(Scaled):
    """The point on the sphere, z first, of both angles (radians) divided by the radius."""

    per_frequency = 3

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, 3 * frequencies]."""
        longitude, latitude = (torch.deg2rad(lonlat)[..., None] * self.frequency).unbind(-2)
        ring = latitude.cos()
        return torch.stack((latitude.sin(), ring * longitude.cos(), ring * longitude.sin()), -1).flatten(-2)


class Theory(Scaled):
    """Sine and cosine along three directions of the plane of degrees, 120 degrees apart."""

    per_frequency = 6

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] degrees -> [B, 6 * frequencies]."""
        height = 3**0.5 / 2
        directions = lonlat.new_tensor([[1.0, 0.0], [-0.5, height], [-0.5, -height]])
        angle = (lonlat @ directions.T)[..., None, :] * self.frequency[:, None]
        return torch.stack((angle.sin(), angle.cos()), -1).flatten(-3)


class Grid(Scaled):
    """Longitude at every radius, then latitude; of each, sine and cosine."""

    per_frequency = 4

    def forward(self, lonlat: Tensor) -> Tensor:
        """[B, 2] -> [B, 4 * frequencies]."""
        angle = lonlat[..., None] * self.frequency
        return torch.stack((angle.sin(), angle.cos()), -1).flatten(-3)


KINDS: dict[str, type[Wrapped] | type[Scaled]] = {
    "wrap_ffn": Wrapped,
    "Sphere2Vec-sphereC": SphereC,
    "Space2Vec-theory": Theory,
    "Space2Vec-grid": Grid,
}


def torchspatial(path: Path, *, name: str | None = None) -> Frozen:
    """The encoder in a file of TorchSpatial, [N, 2] -> [N, 256].

    Raises:
        FileNotFoundError: there is no such file, or nothing says its hyperparameters.
        ValueError: it is of a kind that is not known here, or its tensors do not fit; names them.
    """
    params = hyperparameters(path)
    kind = str(params.get("spa_enc_type"))
    if kind not in KINDS:
        raise ValueError(
            f"{path.name} is an encoder of kind {kind!r}; read here are {', '.join(KINDS)}, and gridcell by csp:FILE"
        )
    check_params(params, () if kind == "wrap_ffn" else SCALES, source=str(path))
    features = KINDS[kind](params)
    network = SpatialEncoder(features, FeedForward(features.dim, params))
    state = read_state(path, prefix=PREFIX, ignored=HEADS)
    fitted(network, state, source=str(path), remedy=f"Give a file as it was published ({HOME})")
    label = name or f"torchspatial {kind} {params.get('dataset', '')}".strip()
    return Frozen(label, GLOBE, network, described=described(params, SCALES))


def hyperparameters(path: Path) -> Mapping[str, Any]:
    """Of the file at `path`: in it, or under its name in the params.json beside it.

    Raises:
        FileNotFoundError: neither is there.
        ValueError: params.json cannot be read.
    """
    content = read_content(path)
    if isinstance(content.get("params"), Mapping):
        inside: Mapping[str, Any] = content["params"]
        return inside
    listing = path.with_name(PARAMS)
    try:
        every = json.loads(listing.read_text(encoding="utf-8")) if listing.is_file() else {}
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{listing} cannot be read ({error}); fetch it again") from error
    stem = path.name.removesuffix(".tar").removesuffix(path.suffix).removesuffix(".pth").removesuffix(".pt")
    if stem not in every:
        raise FileNotFoundError(
            f"nothing says how {path.name} is built: it holds no `params`, and {listing} does not list {stem}; "
            f"put the authors' {PARAMS} beside it ({HOME})"
        )
    listed: Mapping[str, Any] = every[stem]
    return listed
