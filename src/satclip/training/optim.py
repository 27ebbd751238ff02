"""Optimiser and schedules: which parameters decay, and how the learning rate moves."""

import logging
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from satclip import ranks

log = logging.getLogger(__name__)
NO_END = "scheduler {} needs an end: give epochs or trainer.max_steps, or scheduler=constant scheduler.warmup=0"


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
    learned = [parameter for parameters in groups.values() for parameter in parameters]
    # One loop over the numbers of a parameter instead of a dozen. On a GPU torch chooses well by itself.
    fused = bool(learned) and all(parameter.device.type == "cpu" for parameter in learned)
    optimizer = AdamW(
        [{"params": parameters, "weight_decay": decay} for decay, parameters in groups.items()],
        lr=lr,
        betas=(first, second),
        fused=fused or None,
    )

    def keep(_: Optimizer, state: dict[str, Any]) -> dict[str, Any]:
        """Of a checkpoint, written on whatever device, take the numbers and not the way to work them out."""
        return {**state, "param_groups": [{**group, "fused": fused or None} for group in state["param_groups"]]}

    optimizer.register_load_state_dict_pre_hook(keep)
    if fused:
        # The fused step would also undo a loss scaling, and Lightning refuses to clip gradients that may be scaled.
        # There is none on a CPU.
        setattr(optimizer, "_step_supports_amp_scaling", False)  # noqa: B010 - torch sets it so, undeclared
    return optimizer


def names_in(optimizer: Optimizer, module: nn.Module) -> list[str]:
    """The names of the parameters that an optimiser holds, in the order in which its state numbers them."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    return [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]


def with_new_options(
    saved: Mapping[str, Any], then: Sequence[str] | None, optimizer: Optimizer, now: Sequence[str]
) -> dict[str, Any]:
    """An optimiser's saved state, with the options and the groups of another one of the same kind.

    What it knows of each parameter is kept, by name: another weight decay may put parameters into other groups.

    Args:
        saved: the state.
        then: names of the parameters that it numbers; None where they were not recorded, which needs the same groups.
        optimizer: has the options.
        now: names of its parameters.

    Raises:
        ValueError: the names were not recorded, and the groups differ.
    """
    fresh = optimizer.state_dict()
    if then is None and list(map(_size, saved["param_groups"])) != list(map(_size, fresh["param_groups"])):
        raise ValueError(
            "the checkpoint's optimiser has other groups of parameters, and its version of satclip did not note which "
            "is which; give the weight decays and the frozen parts that it was trained with"
        )
    before = {name: number for number, name in enumerate(then or now)}
    known = {number: saved["state"].get(before.get(name)) for number, name in enumerate(now)}
    return {**fresh, "state": {number: state for number, state in known.items() if state is not None}}


def _size(group: Mapping[str, Any]) -> int:
    return len(group["params"])


class Schedule(LambdaLR):
    """A learning rate that is a function of the step; of a run that resumes, of its options of now.

    What torch restores is the rate itself and the peak of then: a new `optimizer.lr`, or a new length of the training,
    would have no effect, or none before the next step.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the step alone; say so where the rate is another one than it would have been."""
        before, rates = state_dict["_last_lr"], self.base_lrs
        super().load_state_dict({**state_dict, "lr_lambdas": [None] * len(rates), "base_lrs": rates})
        self._last_lr = [rate * factor(self.last_epoch) for rate, factor in zip(rates, self.lr_lambdas, strict=True)]
        for group, peak, rate in zip(self.optimizer.param_groups, rates, self._last_lr, strict=True):
            group["initial_lr"], group["lr"] = peak, rate
        if self._last_lr[0] != before[0] and ranks.rank() == 0:
            log.warning(
                "learning rate at step %d: %g by the options given now, %g by those of the checkpoint; now's are taken",
                self.last_epoch, self._last_lr[0], before[0],
            )  # fmt: skip


def constant(optimizer: Optimizer, *, total_steps: int | None, warmup: float = 0.0) -> Schedule:
    """A learning rate that rises linearly over the fraction `warmup` of all steps, and stays.

    Raises:
        ValueError: `warmup` is no fraction, or one of a training without end (`total_steps` is None).
    """
    _check_fraction("warmup", warmup)
    return Schedule(optimizer, partial(_factor, _rise("constant with warmup", warmup, total_steps), 1, 1.0))


def cosine(
    optimizer: Optimizer, *, total_steps: int | None, warmup: float = 0.05, final_fraction: float = 0.0
) -> Schedule:
    """A learning rate that rises linearly, then falls along half a cosine to `final_fraction` of its peak.

    Args:
        optimizer: holds the peak.
        total_steps: optimiser steps of the whole training; None for one without end.
        warmup: fraction of them that the rise takes.
        final_fraction: of the peak, where the fall ends.

    Raises:
        ValueError: a fraction is not in [0, 1], or the training has no end.
    """
    _check_fraction("warmup", warmup)
    _check_fraction("final_fraction", final_fraction)
    if total_steps is None:
        raise ValueError(NO_END.format("cosine"))
    rise = _rise("cosine", warmup, total_steps)
    return Schedule(optimizer, partial(_factor, rise, max(1, total_steps - rise), final_fraction))


def _factor(rise: int, fall: int, final_fraction: float, step: int) -> float:
    """The rate before step `step` as a fraction of its peak."""
    if step < rise:
        return (step + 1) / rise
    progress = (step - rise) / fall
    return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def _rise(schedule: str, warmup: float, total_steps: int | None) -> int:
    if total_steps is None and warmup:
        raise ValueError(NO_END.format(schedule))
    return round(warmup * (total_steps or 0))


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise ValueError(f"scheduler.{name} is a fraction from 0 to 1, got {fraction}")
