"""The location tower of the published system (arXiv 2311.17179): its keywords and its names of weights."""

import re
import reprlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import REFERENCE, Encoding
from satclip.location.networks import MLP, NETWORKS, FCNet, Network, Siren
from satclip.weights import check_fit, check_sizes, real_weights, widest

MULTI_SCALE = ("grid", "spherec", "spherecplus", "spherem", "spheremplus", "theory")
_LAYER = re.compile(r"features\.(\d{1,5})\.weight")
KEYWORDS = (
    "embed_dim",
    "le_type",
    "pe_type",
    "frequency_num",
    "max_radius",
    "min_radius",
    "legendre_polys",
    "harmonics_calculation",
    "num_hidden_layers",
    "capacity",
)


def location_tower(
    *,
    embed_dim: int,
    le_type: str,
    pe_type: str,
    frequency_num: int,
    max_radius: float,
    min_radius: float,
    legendre_polys: int,
    harmonics_calculation: str,
    num_hidden_layers: int,
    capacity: int,
    shared_hidden: bool = False,
) -> LocationEncoder:
    """An encoder with fresh weights from the published keywords; `shared_hidden` is for the weights of an mlp only.

    Raises:
        ValueError: unknown `le_type` or `pe_type`; lists the choices.
    """
    if not isinstance(le_type, str) or le_type not in REFERENCE:
        raise ValueError(f"le_type must be one of {', '.join(REFERENCE)}, got {reprlib.repr(le_type)}")
    options: dict[str, Any] = {}
    if le_type == "sphericalharmonics":
        options = {"legendre_polys": legendre_polys, "harmonics_calculation": harmonics_calculation}
    elif le_type in MULTI_SCALE:
        options = {"frequencies": frequency_num, "min_radius": min_radius, "max_radius": max_radius}
    encoding: Encoding = REFERENCE[le_type](**options)
    return LocationEncoder(encoding, _network(pe_type, capacity, num_hidden_layers, shared_hidden), embed_dim)


def restored_location_tower(
    keywords: Mapping[str, Any], weights: Mapping[str, Tensor], *, source: str
) -> LocationEncoder:
    """The encoder that a published checkpoint holds, in the dtype of its weights.

    Args:
        keywords: its hyper-parameters, `KEYWORDS` at least.
        weights: its `model.location.nnet.*`, without that prefix.
        source: names it in errors.

    Raises:
        ValueError: weights are missing, unknown or of another shape; names them.
    """
    chosen = {name: keywords[name] for name in KEYWORDS}
    weights = real_weights(weights, source=source)
    check_sizes(chosen, weights, source=source)
    weights, shared = _without_copies(weights) if chosen["pe_type"] == "mlp" else (dict(weights), False)
    try:
        with torch.device("meta"):  # names and shapes alone: no memory, whatever the keywords ask for
            outline = location_tower(**chosen, shared_hidden=shared)
    except (AttributeError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise ValueError(f"{source} describes no location encoder ({error}); give a file as it was released") from error
    names = _published_names(outline)
    mine = outline.state_dict()
    remedy = "Its hyper_parameters and its weights disagree; load the file as it was released"
    check_fit({names[name]: tensor for name, tensor in mine.items()}, weights, source=source, remedy=remedy)
    tower = location_tower(**chosen, shared_hidden=shared)
    tower.to(widest(weights)).load_state_dict({name: weights[names[name]] for name in mine})
    return tower


def _network(pe_type: str, capacity: int, hidden_layers: int, shared_hidden: bool) -> Callable[..., Network]:
    """The published networks: w0 = 30 in the first sine layer, and half of the activations dropped in training."""
    choices: dict[str, Callable[..., Network]] = {
        "siren": partial(Siren, hidden_dim=capacity, hidden_layers=hidden_layers, first_omega=30.0, dropout=0.5),
        "mlp": partial(MLP, hidden_dim=capacity, hidden_layers=hidden_layers, shared_hidden=shared_hidden),
        "fcnet": partial(FCNet, hidden_dim=capacity, dropout=0.5),
        "linear": NETWORKS["linear"],
    }
    if not isinstance(pe_type, str) or pe_type not in choices:
        raise ValueError(f"pe_type must be one of {', '.join(choices)}, got {reprlib.repr(pe_type)}")
    return choices[pe_type]


def _published_names(tower: LocationEncoder) -> dict[str, str]:
    """Our names of the weights to the published ones."""
    network = tower.network
    layers = {"network.first.": ""}  # linear
    if isinstance(network, Siren):
        layers = {"network.first.": "layers.0.", "network.last.": "last_layer."}
        layers |= {f"network.hidden.{i}.": f"layers.{i + 1}." for i in range(len(network.hidden))}
    elif isinstance(network, MLP):
        layers = {"network.first.": "features.0.", "network.last.": f"features.{2 * network.hidden_layers + 2}."}
        layers |= {f"network.hidden.{i}.": f"features.{2 * i + 2}." for i in range(len(network.hidden))}
    elif isinstance(network, FCNet):
        layers = {"network.first.": "feats.0.", "network.last.": "class_emb."}
        for i in range(len(network.blocks)):
            layers |= {
                f"network.blocks.{i}.{ours}.": f"feats.{i + 2}.{theirs}."
                for ours, theirs in (("inner", "w1"), ("outer", "w2"))
            }
    names = {}
    for name in tower.state_dict():
        layer, weight = name.rsplit(".", 1)
        names[name] = layers[f"{layer}."] + weight
    return names


def _without_copies(weights: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], bool]:
    """The weights of an mlp with its hidden layers once, where all are equal: the published list repeats one layer."""
    numbers = sorted(int(found.group(1)) for name in weights if (found := _LAYER.fullmatch(name)))
    hidden = numbers[1:-1]
    shared = len(hidden) > 1 and all(
        _same(weights.get(f"features.{hidden[0]}.{part}"), weights.get(f"features.{number}.{part}"))
        for number in hidden
        for part in ("weight", "bias")
    )
    copies = {f"features.{number}.{part}" for number in hidden[1:] for part in ("weight", "bias")} if shared else set()
    return {name: tensor for name, tensor in weights.items() if name not in copies}, shared


def _same(first: Tensor | None, second: Tensor | None) -> bool:
    return first is not None and second is not None and torch.equal(first, second)
