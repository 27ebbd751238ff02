"""Numbers of a GPU against those of the CPU: harmonics, losses, towers in bfloat16, compiled towers."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import MAX_LOGIT_SCALE, ClipLoss, SigLipLoss, SoftClipLoss
from satclip.sphere import uniform_on_sphere
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import TinyCNN

LOSSES: dict[str, Callable[[], torch.nn.Module]] = {
    "clip": partial(ClipLoss, chunk=64),
    "clip, excluded and debiased": partial(ClipLoss, chunk=64, exclude_alike=0.3, debias=1e-3),
    "soft_clip": partial(SoftClipLoss, chunk=64),
    "siglip": partial(SigLipLoss, chunk=64),
}


def places(count: int) -> Tensor:
    """Even over the surface, and what is awkward: poles, the date line, the corner of all coordinates."""
    awkward = torch.tensor([[0.0, 90.0], [77.0, -90.0], [180.0, 0.0], [-180.0, 33.0], [0.0, 0.0]], dtype=torch.float64)
    return torch.cat((uniform_on_sphere(count, torch.Generator().manual_seed(0)), awkward))


def module() -> ContrastiveModule:
    """Towers whose products are large enough to be told apart by their precision."""
    torch.manual_seed(0)
    encoder = LocationEncoder(SphericalHarmonics(20), partial(Siren, hidden_dim=128), 64)
    vision = TinyCNN(in_channels=3, embedding_dim=64, width=8)
    return ContrastiveModule(encoder, vision, ClipLoss(), partial(adamw, lr=1e-3, weight_decay=0.01))


def gradients(trained: ContrastiveModule, device: torch.device, precision: torch.dtype | None = None) -> list[Tensor]:
    """The loss of a batch of noise, and the gradient of every weight, on the CPU in float64."""
    generator = torch.Generator().manual_seed(1)
    images, lonlat = torch.rand(128, 3, 16, 16, generator=generator), uniform_on_sphere(128, generator)
    trained.to(device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # by default convolutions of a GPU round to TF32
        with torch.autocast(device.type, precision, enabled=precision is not None):
            embeddings = trained.model.encode_image(images.to(device)), trained.model.encode_location(lonlat.to(device))
        loss = trained.loss(*embeddings, trained.model.logit_scale)
        found = torch.autograd.grad(loss, [*trained.parameters()])
    return [each.detach().cpu().double() for each in (loss, *found)]


def apart(mine: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest norm of a difference over the norm of what was expected."""
    return max(float((a - b).norm() / b.norm().clamp_min(1e-12)) for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("legendre_polys", [10, 40, 100])
@pytest.mark.parametrize("gradient", [False, True])
def test_harmonics_in_float32_are_exact_whatever_the_products_around_them_may_round(
    device: torch.device, legendre_polys: int, gradient: bool
) -> None:
    lonlat, encoding = places(500), SphericalHarmonics(legendre_polys, "analytic")
    expected = encoding(lonlat, torch.float64)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")  # of a GPU: bfloat16
        with torch.autocast(device.type, torch.bfloat16):
            found = encoding.to(device)(lonlat.to(device).requires_grad_(gradient), torch.float32)
    finally:
        torch.set_float32_matmul_precision(before)
    assert (found.dtype, found.device.type) == (torch.float32, device.type)
    torch.testing.assert_close(found.detach().cpu().double(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [2.6, MAX_LOGIT_SCALE])
def test_a_loss_and_its_gradients_are_those_of_float64(device: torch.device, name: str, scale: float) -> None:
    generator = torch.Generator().manual_seed(0)
    images, other = torch.randn(2, 300, 64, generator=generator)

    def evaluate(where: torch.device, dtype: torch.dtype) -> list[Tensor]:
        given = [each.to(where, dtype).requires_grad_() for each in (images, images + other, torch.tensor(scale))]
        value = LOSSES[name]().to(where)(*given)
        assert value.device.type == where.type
        return [each.detach().cpu().double() for each in (value, *torch.autograd.grad(value, given))]

    found, expected = evaluate(device, torch.float32), evaluate(torch.device("cpu"), torch.float64)
    for mine, right in zip(found, expected, strict=True):
        assert (mine - right).norm() < 1e-5 * right.norm() + 1e-6


def test_a_step_in_float32_is_that_of_the_cpu(device: torch.device) -> None:
    assert apart(gradients(module(), device), gradients(module().double(), torch.device("cpu"))) < 1e-3


def test_towers_in_bfloat16_learn_what_towers_in_float32_learn(device: torch.device) -> None:
    plain, halves = gradients(module(), device), gradients(module(), device, torch.bfloat16)
    assert plain[0] != halves[0], "nothing ran in bfloat16"
    assert abs(halves[0] - plain[0]) < 0.01 * plain[0]
    for mine, right in zip(halves[1:], plain[1:], strict=True):
        if right.norm() > 1e-6:
            assert torch.cosine_similarity(mine.flatten(), right.flatten(), dim=0) > 0.98


@pytest.mark.parametrize(
    "device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
def test_compiled_towers_learn_what_plain_ones_learn(device: str) -> None:
    where: Any = torch.device(device)
    compiled = module()
    compiled.compile_towers()
    assert apart(gradients(compiled, where), gradients(module(), where)) < 1e-3
