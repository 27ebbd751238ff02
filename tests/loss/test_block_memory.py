"""Blocks that are kept for a second pass change nothing but the time it takes."""

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from satclip.loss import MAX_LOGIT_SCALE, ClipLoss, SigLipLoss, SoftClipLoss
from satclip.loss import block_memory as memory
from satclip.sphere import uniform_on_sphere

ROWS, CHUNK = 37, 8
BLOCK_BYTES = CHUNK * ROWS * 4
LOSSES: dict[str, Any] = {
    "clip": ClipLoss,
    "clip, excluded and debiased": lambda **given: ClipLoss(exclude_alike=0.2, debias=0.03, **given),
    "soft_clip": SoftClipLoss,
    "soft_clip on the sphere": lambda **given: SoftClipLoss(likeness="sphere", **given),
    "siglip": SigLipLoss,
}
EACH = pytest.mark.parametrize("name", LOSSES)


def inputs(scale: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    images, other = torch.randn(2, ROWS, 16, generator=generator)
    return [each.requires_grad_() for each in (3 * images, images + other, torch.tensor(scale))]


def loss_of(name: str, given: list[Tensor]) -> Tensor:
    loss = LOSSES[name](chunk=CHUNK)
    asked = {"lonlat": uniform_on_sphere(ROWS, torch.Generator().manual_seed(1))} if "sphere" in name else {}
    value: Tensor = loss(*given, **asked)
    return value


class Holder:
    """What stands for a saved tensor while the graph lives."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def kept_in_graph(name: str, given: list[Tensor]) -> tuple[Tensor, list["weakref.ref[Holder]"], int]:
    """The loss, what its graph holds of the matrix, and the bytes of that."""
    held: list[weakref.ref[Holder]] = []
    sizes: list[int] = []

    def pack(tensor: Tensor) -> Holder:
        holder = Holder(tensor)
        if tensor.ndim == 2 and tensor.shape[1] == ROWS:
            held.append(weakref.ref(holder))
            sizes.append(tensor.untyped_storage().nbytes())
        return holder

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda holder: holder.tensor):
        value = loss_of(name, given)
    return value, held, sum(sizes)


@EACH
@pytest.mark.parametrize("scale", [2.6, MAX_LOGIT_SCALE])
def test_blocks_that_are_kept_give_the_bits_of_blocks_computed_twice(
    name: str, scale: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for kept in (0, 2 * BLOCK_BYTES, 2**28):
        monkeypatch.setattr(memory, "KEPT_BYTES", kept)
        given = inputs(scale)
        value = loss_of(name, given)
        found.append([value.detach(), *torch.autograd.grad(value, given)])
    for other in found[1:]:
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(other, found[0], strict=True))


@EACH
@pytest.mark.parametrize("scale", [2.6, MAX_LOGIT_SCALE])
def test_a_second_backward_pass_finds_the_blocks_as_they_were(name: str, scale: float) -> None:
    given = inputs(scale)
    value = loss_of(name, given)
    first = torch.autograd.grad(value, given, retain_graph=True)
    second = torch.autograd.grad(value, given)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(first, second, strict=True))


@EACH
def test_no_more_is_kept_than_the_bound_whatever_the_batch_and_nothing_after_the_backward_pass(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "KEPT_BYTES", 2 * BLOCK_BYTES + 1)
    value, held, size = kept_in_graph(name, inputs(2.6))
    assert (len(held), size) == (2, 2 * BLOCK_BYTES)
    value.backward()
    assert not any(holder() for holder in held)


@EACH
def test_validation_keeps_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[memory.BlockMemory] = []
    create = memory.BlockMemory.__init__

    def noted(self: memory.BlockMemory, *args: Any, **options: Any) -> None:
        create(self, *args, **options)
        made.append(self)

    monkeypatch.setattr(memory.BlockMemory, "__init__", noted)
    with torch.no_grad():
        loss_of(name, inputs(2.6))
    assert not made[0].kept
