"""TTE's published weights as an encoder of ours.

The hub's `MVRL/TTE` holds `model.safetensors`: `location._directions` [K, 3], `._log_tau` [K], `._embeddings` [K, d],
`.semantic_registers.*` and `.mlp.*` ("Tessellating the Earth", 2026, ECCV, arXiv 2606.27514; MIT).
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import Voronoi
from satclip.location.networks import FCNet
from satclip.weights import check_fit, real_weights

PREFIX = "location."
REMEDY = "Give a file as it was published (hub MVRL/TTE, model.safetensors)"
SIZED = ("_directions", "_embeddings", "mlp.0.weight", "semantic_registers.registers")
CONSTANT = "semantic_registers._img_temperature"  # 0.05, here as there
NAMES = {
    "encoding.directions": "_directions",
    "encoding.log_sharpness": "_log_tau",
    "encoding.sites": "_embeddings",
    "encoding.semantics.tokens": "semantic_registers.registers",
    "encoding.semantics.of_places": "semantic_registers.loc_to_logits",
    "encoding.semantics.of_pictures": "semantic_registers.img_to_logits",
    "encoding.semantics.log_temperature": "semantic_registers.log_temperature",
    "encoding.semantics.project": "semantic_registers.site_to_out",
    "encoding.semantics.norm": "semantic_registers.norm",
    "network.first": "mlp.0",
}


def is_tte(state: Mapping[str, Tensor]) -> bool:
    """Whether a file's tensors have TTE's names."""
    return f"{PREFIX}_directions" in state


def tte_encoder(state: Mapping[str, Tensor], *, source: str, published: bool = True) -> LocationEncoder:
    """The location encoder in a file of TTE's layout, in evaluation mode; TTE's own vectors are its, of length one.

    The numbers are those of the released model, which has forgotten the temperature that its training ended with.

    Args:
        state: the file's tensors by name, `location.*` and perhaps others.
        source: names it in errors.
        published: build it as it was published; otherwise with a size for each site beside its sharpness, whose start
            b = tau gives the same numbers, for training on.

    Raises:
        ValueError: tensors are missing, unknown or of another shape; names them.
    """
    weights = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    weights = real_weights({name: tensor for name, tensor in weights.items() if name != CONSTANT}, source=source)
    missing = [f"{PREFIX}{name}" for name in SIZED if weights.get(name, torch.empty(0)).ndim != 2]
    if missing:
        raise ValueError(f"{source} does not fit: {', '.join(missing)} is missing. {REMEDY}")
    (sites, site_dim), (tokens, width) = weights["_embeddings"].shape, weights["semantic_registers.registers"].shape
    depth = sum(name.endswith(".w1.weight") for name in weights)
    last = weights.get(f"mlp.{depth + 2}.weight", torch.empty(1, 1))
    network = partial(FCNet, hidden_dim=len(weights["mlp.0.weight"]), residual_blocks=depth)
    with torch.random.fork_rng(devices=[]):  # weights are drawn, and written over
        encoder = LocationEncoder(Voronoi(sites, site_dim, width, tokens, published=published), network, len(last))
    mine = encoder.state_dict()
    ours = {name: _theirs(name, depth) for name in mine if name not in ("encoding.size", "encoding.semantics.progress")}
    outline = {f"{PREFIX}{theirs}": mine[name] for name, theirs in ours.items()}
    check_fit(outline, {f"{PREFIX}{name}": each for name, each in weights.items()}, source=source, remedy=REMEDY)
    found = {name: weights[theirs] for name, theirs in ours.items()}
    if not published:
        found["encoding.size"] = weights["_log_tau"].exp()
        found["encoding.semantics.progress"] = torch.zeros(())
    encoder.load_state_dict(found)
    return encoder.eval()


def _theirs(name: str, depth: int) -> str:
    """`mlp.2.w1.weight` for `network.blocks.0.inner.weight`."""
    if name in NAMES:
        return NAMES[name]
    layer, _, kind = name.rpartition(".")
    if layer == "network.last":
        return f"mlp.{depth + 2}.{kind}"
    if layer.startswith("network.blocks."):
        _, _, number, part = layer.split(".")
        return f"mlp.{int(number) + 2}.{'w1' if part == 'inner' else 'w2'}.{kind}"
    return f"{NAMES[layer]}.{kind}"
