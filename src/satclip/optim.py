"""Optimiser and schedules: which parameters decay, and how the learning rate moves."""

import math
from collections.abc import Sequence

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR


def adamw(module: nn.Module, *, lr: float, weight_decay: float, betas: Sequence[float] = (0.9, 0.999)) -> AdamW:
    """AdamW over the parameters that learn; vectors and scalars (biases, norms, temperature) never decay.

    The published recipe exempts the same parameters (arXiv 2311.17179, section 3).
    """
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in learning if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in learning if parameter.ndim < 2], "weight_decay": 0.0},
    ]
    first, second = betas
    return AdamW(groups, lr=lr, betas=(first, second))


def constant(optimizer: Optimizer, *, total_steps: int, warmup_steps: int = 0) -> LambdaLR:
    """A learning rate that rises linearly over `warmup_steps` and stays, whatever `total_steps` is."""
    return cosine(optimizer, total_steps=max(total_steps, warmup_steps), warmup_steps=warmup_steps, final_fraction=1.0)


def cosine(optimizer: Optimizer, *, total_steps: int, warmup_steps: int = 0, final_fraction: float = 0.0) -> LambdaLR:
    """A learning rate that rises linearly, then falls along half a cosine to `final_fraction` of its peak.

    Raises:
        ValueError: the warm-up is longer than the training.
    """
    if warmup_steps > total_steps:
        raise ValueError(
            f"warmup_steps is {warmup_steps} but the training has {total_steps} steps; "
            "set scheduler.warmup_steps lower or train longer"
        )

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * min(1.0, progress))) / 2

    return LambdaLR(optimizer, factor)
