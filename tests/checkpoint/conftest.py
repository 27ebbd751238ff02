"""Checkpoints in the published layout, written by hand: random weights under the published names."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

D, WIDTH = 6, 8
HYPER_PARAMETERS: dict[str, Any] = {
    "embed_dim": D,
    "image_resolution": 32,
    "vision_layers": 1,
    "vision_width": 64,
    "vision_patch_size": 16,
    "in_channels": 3,
    "le_type": "cartesian3d",
    "pe_type": "siren",
    "frequency_num": 4,
    "max_radius": 360,
    "min_radius": 1,
    "legendre_polys": 5,
    "harmonics_calculation": "analytic",
    "sh_embedding_dims": 40,
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
    "num_hidden_layers": 2,
    "capacity": WIDTH,
}


def affine(generator: torch.Generator, inputs: int, outputs: int, name: str, *, bias: bool = True) -> dict[str, Tensor]:
    draw = {"weight": torch.randn(outputs, inputs, generator=generator, dtype=torch.float64) / inputs**0.5}
    if bias:
        draw["bias"] = torch.randn(outputs, generator=generator, dtype=torch.float64)
    return {f"{name}{part}": tensor for part, tensor in draw.items()}


def network_weights(pe_type: str, inputs: int, hidden: int = 2) -> dict[str, Tensor]:
    """The published names and shapes of each network; the hidden layers of an mlp are one layer, listed again."""
    generator = torch.Generator().manual_seed(1)
    if pe_type == "linear":
        return affine(generator, inputs, D, "")
    if pe_type == "siren":
        layers = affine(generator, inputs, WIDTH, "layers.0.")
        for number in range(1, hidden):
            layers |= affine(generator, WIDTH, WIDTH, f"layers.{number}.")
        return layers | affine(generator, WIDTH, D, "last_layer.")
    if pe_type == "mlp":
        layers = affine(generator, inputs, WIDTH, "features.0.")
        repeated = affine(generator, WIDTH, WIDTH, "")
        for number in range(1, hidden + 1):
            layers |= {f"features.{2 * number}.{part}": tensor for part, tensor in repeated.items()}
        return layers | affine(generator, WIDTH, D, f"features.{2 * hidden + 2}.")
    layers = affine(generator, inputs, WIDTH, "feats.0.")
    for number in range(2, 6):
        layers |= affine(generator, WIDTH, WIDTH, f"feats.{number}.w1.") | affine(
            generator, WIDTH, WIDTH, f"feats.{number}.w2."
        )
    return layers | affine(generator, WIDTH, D, "class_emb.", bias=False)


def transformer_weights() -> dict[str, Tensor]:
    """The published names and shapes of a one-block transformer on 32 x 32 pixels in four patches."""
    generator, width = torch.Generator().manual_seed(2), 64
    shapes = {
        "class_embedding": (width,),
        "positional_embedding": (5, width),
        "proj": (width, D),
        "conv1.weight": (width, 3, 16, 16),
        "transformer.resblocks.0.attn.in_proj_weight": (3 * width, width),
        "transformer.resblocks.0.attn.in_proj_bias": (3 * width,),
        "transformer.resblocks.0.attn.out_proj.weight": (width, width),
        "transformer.resblocks.0.attn.out_proj.bias": (width,),
        "transformer.resblocks.0.mlp.c_fc.weight": (4 * width, width),
        "transformer.resblocks.0.mlp.c_fc.bias": (4 * width,),
        "transformer.resblocks.0.mlp.c_proj.weight": (width, 4 * width),
        "transformer.resblocks.0.mlp.c_proj.bias": (width,),
    }
    norms = ("ln_pre", "ln_post", "transformer.resblocks.0.ln_1", "transformer.resblocks.0.ln_2")
    shapes |= {f"{norm}.{part}": (width,) for norm in norms for part in ("weight", "bias")}
    return {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.fixture
def published(tmp_path: Path) -> Callable[..., Path]:
    """Writes a published checkpoint; `change` edits its content first."""

    def write(
        change: Callable[[dict[str, Any]], object] = lambda content: None, *, inputs: int = 3, **hyper_parameters: Any
    ) -> Path:
        keywords = HYPER_PARAMETERS | hyper_parameters
        network = network_weights(keywords["pe_type"], inputs, keywords["num_hidden_layers"])
        state = {"model.logit_scale": torch.tensor(2.0)}
        state |= {f"model.visual.{name}": tensor for name, tensor in transformer_weights().items()}
        state |= {f"model.nnet.{name}": tensor for name, tensor in network.items()}
        state |= {f"model.location.nnet.{name}": tensor for name, tensor in network.items()}
        content = {"epoch": 3, "global_step": 40, "state_dict": state, "hyper_parameters": keywords}
        change(content)
        path = tmp_path / "published.ckpt"
        torch.save(content, path)
        return path

    return write


@pytest.fixture
def lonlat() -> Tensor:
    return torch.tensor([[13.4, 52.5], [-58.4, -34.6], [180.0, 0.0], [0.0, 90.0]], dtype=torch.float64)
