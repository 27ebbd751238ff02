"""Weight decay and schedules."""

import math

import pytest
import torch
from torch import nn

from satclip.optim import adamw, constant, cosine


def rates(schedule: object, steps: int) -> list[float]:
    """The learning rate before each of the first `steps` steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def test_biases_norms_and_scalars_never_decay() -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    module.temperature = nn.Parameter(torch.tensor(0.07))
    module[0].weight.requires_grad_(True)
    decaying, free = adamw(module, lr=1e-3, weight_decay=0.5).param_groups
    assert [tuple(parameter.shape) for parameter in decaying["params"]] == [(4, 3)]
    assert len(free["params"]) == 4
    assert decaying["weight_decay"] == 0.5
    assert free["weight_decay"] == 0.0


def test_frozen_parameters_are_left_out() -> None:
    module = nn.Linear(3, 4).requires_grad_(False)
    module.bias.requires_grad_(True)
    groups = adamw(module, lr=1e-3, weight_decay=0.5).param_groups
    assert [len(group["params"]) for group in groups] == [0, 1]


def test_the_cosine_rises_then_falls_to_its_final_fraction() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    found = rates(cosine(optimizer, total_steps=20, warmup=0.2, final_fraction=0.1), 21)
    assert found[:4] == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert found[12] == pytest.approx(2.0 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2))
    assert found[20] == pytest.approx(0.2)


def test_the_constant_rate_rises_then_stays() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    assert rates(constant(optimizer, total_steps=20, warmup=0.1), 5) == pytest.approx([0.5, 1, 1, 1, 1])


@pytest.mark.parametrize("warmup", [-0.1, 1.5])
def test_a_warm_up_that_is_no_fraction_is_refused(warmup: float) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=r"scheduler.warmup is a fraction from 0 to 1"):
        cosine(optimizer, total_steps=20, warmup=warmup)


def test_a_training_of_one_step_has_a_schedule() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    assert rates(cosine(optimizer, total_steps=1, warmup=0.05), 1) == [1.0]
