"""The affine layers of the sine networks, by the faster products of `satclip.products` in a training on a CPU."""

from typing import TypeGuard

import torch
from torch import Tensor, nn

from satclip.location.capture import only_numbers
from satclip.products import affine


def applied(layer: nn.Module, features: Tensor) -> Tensor:
    """What `layer(features)` gives.

    The layer stays a plain `nn.Linear`, which is what quantisation looks for. One of another type (quantised,
    parametrised, in bands) or with hooks is called as it is.
    """
    if torch.is_grad_enabled() and layer.training and _is_plain(layer) and only_numbers(features):
        found = affine(features, layer.weight, layer.bias)
        if found is not None:
            return found
    result: Tensor = layer(features)
    return result


def _is_plain(layer: nn.Module) -> TypeGuard[nn.Linear]:
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return type(layer) is nn.Linear and not any(hooks)
