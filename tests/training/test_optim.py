"""Weight decay and schedules."""

import math

import pytest
import torch
from torch import nn

from satclip.training.optim import adamw, constant, cosine


def rates(schedule: object, steps: int) -> list[float]:
    """The learning rate before each of the first `steps` steps."""
    found = []
    for _ in range(steps):
        found.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return found


def decays(module: nn.Module, **options: float) -> dict[str, float]:
    """The weight decay of every parameter that the optimiser holds, by name."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    groups = adamw(module, lr=1e-3, **options).param_groups
    return {names[parameter]: group["weight_decay"] for group in groups for parameter in group["params"]}


def towers() -> nn.Module:
    """Something with a location encoder, a norm and a temperature."""
    module = nn.Module()
    module.vision = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    module.location_encoder = nn.Linear(2, 4)
    module.logit_scale = nn.Parameter(torch.tensor(0.07))
    return module


def test_biases_norms_and_scalars_never_decay() -> None:
    found = decays(towers(), weight_decay=0.5)
    assert {name for name, decay in found.items() if decay == 0.5} == {"vision.0.weight", "location_encoder.weight"}
    assert {name for name, decay in found.items() if decay == 0.0} == {
        "vision.0.bias", "vision.1.weight", "vision.1.bias", "location_encoder.bias", "logit_scale",
    }  # fmt: skip


def test_the_location_tower_may_decay_on_its_own() -> None:
    found = decays(towers(), weight_decay=0.01, location_weight_decay=1.0)
    assert found["vision.0.weight"] == 0.01
    assert found["location_encoder.weight"] == 1.0
    assert found["location_encoder.bias"] == 0.0


def test_frozen_parameters_are_left_out() -> None:
    module = towers()
    module.vision.requires_grad_(False)
    assert not any(name.startswith("vision") for name in decays(module, weight_decay=0.5))


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
