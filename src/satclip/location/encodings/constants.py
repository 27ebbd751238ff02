"""Constants that follow a module to its device, and never to its dtype."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from satclip.sphere import angle_dtype


class FixedPrecision(nn.Module):
    """A module without weights whose constants keep the widest float of their device.

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
        for name, value in self._exact.items():
            here = self.get_buffer(name).device  # and not torch's default device, which may be any
            device = fn(torch.empty(0, device=here)).device
            dtype = angle_dtype(device) if value.is_floating_point() else value.dtype
            self._buffers[name] = value.to(device, dtype)
        return self
