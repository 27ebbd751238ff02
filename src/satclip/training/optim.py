"""Optimiser and schedules: which parameters decay, and how the learning rate moves."""

import math
from collections.abc import Sequence

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR


def adamw(
    module: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    location_weight_decay: float | None = None,
    betas: Sequence[float] = (0.9, 0.999),
) -> AdamW:
    """AdamW over the parameters that learn; vectors and scalars (biases, norms, temperature) never decay.

    The published recipe exempts the same parameters (arXiv 2311.17179).

    Args:
        module: owns the parameters; those of the location tower are under a `location_encoder`.
        lr: learning rate.
        weight_decay: of the matrices.
        location_weight_decay: of the matrices of the location tower, where it differs.
        betas: decay rates of the two moments.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        decay = weight_decay
        if location_weight_decay is not None and "location_encoder." in name:
            decay = location_weight_decay
        groups.setdefault(decay if parameter.ndim >= 2 else 0.0, []).append(parameter)
    first, second = betas
    return AdamW(
        [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()],
        lr=lr,
        betas=(first, second),
    )


def constant(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.0) -> LambdaLR:
    """A learning rate that rises linearly over the fraction `warmup` of all steps, and stays."""
    return cosine(optimizer, total_steps=total_steps, warmup=warmup, final_fraction=1.0)


def cosine(optimizer: Optimizer, *, total_steps: int, warmup: float = 0.0, final_fraction: float = 0.0) -> LambdaLR:
    """A learning rate that rises linearly, then falls along half a cosine to `final_fraction` of its peak.

    Args:
        optimizer: holds the peak.
        total_steps: optimiser steps of the whole training.
        warmup: fraction of them that the rise takes.
        final_fraction: of the peak, where the fall ends.

    Raises:
        ValueError: a fraction is not in [0, 1].
    """
    for name, fraction in (("warmup", warmup), ("final_fraction", final_fraction)):
        if not 0 <= fraction <= 1:
            raise ValueError(f"scheduler.{name} is a fraction from 0 to 1, got {fraction}")
    rise = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        progress = (step - rise) / max(1, total_steps - rise)
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * min(1.0, progress))) / 2

    return LambdaLR(optimizer, factor)
