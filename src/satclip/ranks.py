"""All communication between the processes of one training; on one process each of these is the identity.

Only this file (and Lightning) uses `torch.distributed`. Every collective function must be called by all ranks,
the same number of times.
"""

import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed.rendezvous import rendezvous


def world_size() -> int:
    """How many processes train together; 1 until the process group is up."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0; 0 until the process group is up."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def total(values: Tensor | int) -> Tensor:
    """The sum over ranks of tensors of one shape (or of whole numbers), without gradient."""
    return _reduced(values, "SUM")


def largest(values: Tensor | int) -> Tensor:
    """The elementwise maximum over ranks of tensors of one shape (or of whole numbers), without gradient."""
    return _reduced(values, "MAX")


def counts(rows: int) -> list[int]:
    """How many rows each rank holds, by rank. The device waits for it: call it once per batch."""
    if world_size() == 1:
        return [rows]
    slots = torch.zeros(world_size(), dtype=torch.int64, device=_device())
    slots[rank()] = rows
    held: list[int] = total(slots).tolist()
    return held


def gather(rows: Tensor, held: Sequence[int] | None = None) -> Tensor:
    """The rows of all ranks in the order of ranks: [B, ...] -> [sum of B over ranks, ...], B may differ by rank.

    Gradients flow: the gradient that reaches a row is the sum over ranks of what each rank's own result asks of it.

    Args:
        rows: this rank's rows; everything but their number is the same on all ranks.
        held: what `counts` said, where it is known already.
    """
    if world_size() == 1:
        return rows
    gathered: Tensor = _Gather.apply(rows, list(held or counts(len(rows))))
    return gathered


def agree(key: str, text: str) -> str:
    """The text of whichever process asked first, by torchrun's own store: works before there is any group."""
    store, _, _ = next(rendezvous("env://"))
    first: bytes = store.compare_set(key, "", text)
    return first.decode()


def told(key: str, text: str | None) -> str:
    """The text of the one process that gives one, by torchrun's own store; the others, which give None, wait for it."""
    store, _, _ = next(rendezvous("env://"))
    if text is not None:
        store.set(key, text)
    said: bytes = store.get(key)
    return said.decode()


def enter(*, gpu: bool, hours: float = 24.0) -> None:
    """Make the group of the processes that torchrun or srun has started, where nobody else (Lightning) does.

    For work that is dealt out once and met at its end: no rank waits longer than `hours` for another.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1 and world_size() == 1:
        dist.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(hours=hours))


def leave() -> None:
    """Destroy the process group: no collective is possible afterwards, and each process may end by itself."""
    if world_size() > 1:
        dist.destroy_process_group()


def _reduced(values: Tensor | int, operation: str) -> Tensor:
    if world_size() == 1:
        return torch.as_tensor(values).detach()
    sent = values.detach().clone() if isinstance(values, Tensor) else torch.tensor(values, device=_device())
    dist.all_reduce(sent, getattr(dist.ReduceOp, operation))
    return sent


def _device() -> torch.device:
    """The device that a number must be on to be sent: NCCL sends GPU tensors only."""
    return torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else torch.device("cpu")


class _Gather(torch.autograd.Function):
    """All-gather forward; backward, the gradients of all ranks are summed and each rank takes its own rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, held: list[int]) -> Tensor:
        ctx.held = held
        # Collectives want equal shapes: short ranks are padded, and the padding cut off again.
        padded = rows.new_zeros(max(held), *rows.shape[1:])
        padded[: len(rows)] = rows
        pieces = [torch.empty_like(padded) for _ in held]
        dist.all_gather(pieces, padded)
        return torch.cat([piece[:count] for piece, count in zip(pieces, held, strict=True)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # A sum and a cut instead of a reduce-scatter: gloo has none for unequal pieces.
        summed = total(gradient.contiguous())
        first = sum(ctx.held[: rank()])
        return summed[first : first + ctx.held[rank()]], None
