"""Large float32 matrix products on a CPU, by the faster of the two libraries that come with torch.

torch gives float32 products to MKL, which uses half the width of an AMD processor's vectors: 105 GFLOP/s a core where
oneDNN, which torch carries for its compiler, does 240 (EPYC of 2025, torch 2.14). Both are float32 throughout. On an
Intel processor MKL uses all, so nothing is done there, nor on any other device, in other dtypes, or in small products.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LEAST = 2**22  # multiplications below which the call itself counts
_Linear = Callable[[Tensor, Tensor, Tensor | None, str, list[float], str], Tensor]


def multiply(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """left [n, k] @ right [k, m] into `out` [n, m], without a gradient; returns `out`."""
    if (linear := _fast(left, right)) is None:
        return torch.mm(left, right, out=out)
    return out.copy_(linear(_dense(left), _dense(right).T, None, "none", [], ""))


def add_product(total: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Add left [n, k] @ right [k, m] to `total` [n, m], without a gradient; returns `total`."""
    if (linear := _fast(left, right)) is None:
        return total.addmm_(left, right)
    return total.add_(linear(_dense(left), _dense(right).T, None, "none", [], ""))


def right_factor(matrix: Tensor) -> Tensor:
    """The same matrix as it is best read where it stands on the right of many products of thousands of rows."""
    return matrix if _one_dnn() is None or matrix.device.type != "cpu" else matrix.T.contiguous().T


def affine(features: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor | None:
    """features [n, k] @ weight [m, k].T + bias [m], with gradients of any order; None where torch is as fast.

    Not to be recorded, nor transformed, nor differentiated forwards.
    """
    suits = features.ndim == 2 and not torch.is_autocast_enabled("cpu") and _fast(features, weight.T) is not None
    if not suits:
        return None
    product: Tensor = _Transposed.apply(features, weight)
    return product if bias is None else product + bias


class _Transposed(torch.autograd.Function):
    """left [n, k] @ right [m, k].T."""

    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        left, right = _dense(left), _dense(right)
        ctx.save_for_backward(left, right)
        linear = _fast(left, right.T)
        return left @ right.T if linear is None else linear(left, right, None, "none", [], "")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        left, right = ctx.saved_tensors
        to_left, to_right = ctx.needs_input_grad
        return (
            _Transposed.apply(gradient, right.T) if to_left else None,
            _Transposed.apply(gradient.T, left.T) if to_right else None,
        )


def _dense(matrix: Tensor) -> Tensor:
    """The matrix, copied where neither its rows nor its columns follow on each other without a gap.

    Of gaps (the harmonics keep their rows an odd number of cache lines apart) oneDNN makes a loop a hundred times as
    slow, without a word.
    """
    return matrix if matrix.is_contiguous() or matrix.T.is_contiguous() else matrix.contiguous()


def _fast(left: Tensor, right: Tensor) -> _Linear | None:
    """The product of oneDNN, where it is the faster one for left [n, k] @ right [k, m]."""
    plain = left.dtype == right.dtype == torch.float32 and left.device.type == right.device.type == "cpu"
    large = plain and left.shape[0] * left.shape[1] * right.shape[1] >= LEAST
    return _one_dnn() if large else None


@lru_cache(maxsize=1)
def _one_dnn() -> _Linear | None:
    """The operation, on the processors where it is known to be faster."""
    linear: _Linear | None = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    suits = torch._C._has_mkldnn and torch.backends.cpu.get_cpu_capability() == "AVX512"
    return linear if suits and _vendor() == "AuthenticAMD" else None


def _vendor() -> str:
    """Of the processor, by Linux; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")
