"""Weight decay and schedules."""

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from satclip.training.optim import adamw, constant, cosine, names_in, with_new_options


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


def moments_of(module: nn.Module, state: dict[str, Any], names: list[str]) -> dict[str, torch.Tensor]:
    """What an optimiser's state knows of each parameter, by name."""
    return {names[number]: known["exp_avg"] for number, known in state["state"].items()}


def stepped(module: nn.Module, **options: float) -> torch.optim.AdamW:
    """An optimiser after a step in which every parameter had another gradient."""
    optimizer = adamw(module, **options)
    for number, parameter in enumerate(module.parameters()):
        parameter.grad = torch.full_like(parameter, number + 1.0)
    optimizer.step()
    return optimizer


def test_what_the_optimiser_knows_of_a_parameter_follows_it_into_another_group() -> None:
    module = towers()
    before = stepped(module, lr=1e-3, weight_decay=0.01, location_weight_decay=0.3)
    after = adamw(module, lr=1e-2, weight_decay=0.0)
    names = names_in(before, module), names_in(after, module)
    assert names[0] != names[1]
    state = with_new_options(before.state_dict(), names[0], after, names[1])
    known = moments_of(module, before.state_dict(), names[0]), moments_of(module, state, names[1])
    assert known[0].keys() == known[1].keys()
    assert all(torch.equal(known[0][name], known[1][name]) for name in known[0])
    assert {(group["lr"], group["weight_decay"]) for group in state["param_groups"]} == {(1e-2, 0.0)}
    after.load_state_dict(state)


def test_a_state_without_names_needs_the_groups_it_was_made_with() -> None:
    module = towers()
    before = stepped(module, lr=1e-3, weight_decay=0.01).state_dict()
    same = adamw(module, lr=1e-2, weight_decay=0.02)
    assert len(with_new_options(before, None, same, names_in(same, module))["state"]) == len(before["state"])
    other = adamw(module, lr=1e-3, weight_decay=0.0)
    with pytest.raises(ValueError, match="did not note which is which; give the weight decays"):
        with_new_options(before, None, other, names_in(other, module))


@pytest.mark.parametrize("schedule", [cosine, partial(constant, warmup=0.1)])
def test_a_training_without_end_has_no_schedule_that_needs_one(schedule: Any) -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match=r"needs an end: give epochs or trainer.max_steps, or scheduler=constant"):
        schedule(optimizer, total_steps=None)
    assert rates(constant(optimizer, total_steps=None), 3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fused_step_of_a_cpu_is_the_plain_one(dtype: torch.dtype) -> None:
    found = []
    for fused in (True, False):
        torch.manual_seed(0)
        layer = nn.Linear(30, 20, dtype=dtype)
        optimizer = adamw(layer, lr=1e-2, weight_decay=0.1)
        assert all(group["fused"] for group in optimizer.param_groups)
        for group in optimizer.param_groups:
            group["fused"] = fused or None
        for _ in range(5):
            optimizer.zero_grad()
            layer(torch.ones(3, 30, dtype=dtype)).square().sum().backward()
            optimizer.step()
        found.append([*layer.state_dict().values()])
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("device", "fused"), [("cpu", True), ("meta", None)])
@pytest.mark.parametrize("saved", [True, None])
def test_a_checkpoint_of_another_device_does_not_say_how_to_step(
    device: str, fused: bool | None, saved: bool | None
) -> None:
    optimizer = adamw(nn.Linear(3, 2, device=device), lr=1e-2, weight_decay=0.1)
    state = optimizer.state_dict()
    optimizer.load_state_dict({**state, "param_groups": [{**each, "fused": saved} for each in state["param_groups"]]})
    assert [group["fused"] for group in optimizer.param_groups] == [fused, fused]
