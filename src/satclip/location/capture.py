"""Whether a call computes now (eagerly), or is traced, compiled or exported.

On a CPU the harmonics come from numpy, numba or sphericart. A recorder sees none of that: it keeps the result as a
constant, and a recorded encoder would answer the same for every place. So whatever records, transforms or carries
derivatives is given torch's own operations, which it can see.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode


def recording() -> bool:
    """Whether the operations of this call are recorded: compiled, exported, traced, or seen by a dispatch mode."""
    return (
        torch.compiler.is_compiling()  # first: what compiles need not look at the others
        or tracing()
        or _get_current_dispatch_mode() is not None
    )


def tracing() -> bool:
    """Whether torch.jit.trace, or the ONNX exporter that builds on it, looks on."""
    return torch._C._get_tracing_state() is not None


def exporting() -> bool:
    """Whether torch.export looks on. Before torch 2.7 it cannot be told from torch.compile."""
    asked: Callable[[], bool] = getattr(torch.compiler, "is_exporting", bool)
    return asked()


def computes_now(lonlat: Tensor) -> bool:
    """Whether `lonlat` holds numbers and nothing else: no recorder, no functorch transform, no forward derivative."""
    return (
        not recording()
        and type(lonlat) is Tensor
        and not is_functorch_wrapped_tensor(lonlat)
        and not _has_tangent(lonlat)
    )


def only_numbers(lonlat: Tensor) -> bool:
    """As `computes_now`, on the CPU: what numpy may take."""
    return computes_now(lonlat) and lonlat.device.type == "cpu"


def refuse_recording(name: str, *values: Tensor) -> None:
    """Refuse to be recorded or transformed, for a call whose result would be kept as a constant.

    Raises:
        RuntimeError: the call is recorded, or one of `values` is transformed.
    """
    if recording() or any(is_functorch_wrapped_tensor(value) for value in values):
        raise RuntimeError(
            f"{name} cannot be traced, compiled, exported or transformed: do so with the encoder, which takes "
            "the places as a tensor, or write it with `satclip export`"
        )


def _has_tangent(lonlat: Tensor) -> bool:
    unpack: Callable[[Tensor], forward_ad.UnpackedDualTensor] = forward_ad.unpack_dual
    return lonlat.is_floating_point() and unpack(lonlat).tangent is not None
