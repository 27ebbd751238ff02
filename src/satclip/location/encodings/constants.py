"""Constants that follow a module to its device, and never to its dtype."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from satclip.sphere import angle_dtype


class FixedPrecision(nn.Module):
    """A module whose constants keep the widest float of their device, whatever becomes of its weights.

    `model.float()`, `.half()` or `.to(torch.bfloat16)` must not round a frequency or a series coefficient: what they
    ask for is the type of the weights. On MPS, which has no float64, the constants become float32, and float64 again
    on the way back. They are buffers for the sake of torch.export, and never part of a checkpoint.
    """

    def __init__(self) -> None:
        super().__init__()
        self._exact: dict[str, Tensor] = {}

    def register_constant(self, name: str, value: Tensor) -> None:
        """Keep `value` (on the CPU, float64 or integer) and make it a buffer called `name`."""
        self._exact[name] = value
        self.register_buffer(name, value, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "FixedPrecision":
        # Where they lie, and not torch's default device, which may be any.
        devices = {name: fn(torch.empty(0, device=self.get_buffer(name).device)).device for name in self._exact}
        if self._parameters or self._modules:
            weights_too: Callable[..., nn.Module] = super()._apply
            weights_too(fn, recurse)
        for name, value in self._exact.items():
            dtype = angle_dtype(devices[name]) if value.is_floating_point() else value.dtype
            self._buffers[name] = value.to(devices[name], dtype)
        return self
