"""Excluded and debiased negatives, by blocks, against the full matrix in float64 and autograd."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from satclip.loss import MAX_LOGIT_SCALE, ClipLoss, SoftClipLoss
from satclip.sphere import great_circle_km, uniform_on_sphere

ROWS = 37
OPTIONS: dict[str, dict[str, Any]] = {
    "near": {"exclude_within_km": 3000.0},
    "alike": {"exclude_alike": 0.2},
    "alike features": {"exclude_alike": 0.3, "alike_by": "image_features"},
    "both": {"exclude_within_km": 3000.0, "exclude_alike": 0.2},
    "debiased": {"debias": 0.03},
    "all": {"exclude_within_km": 3000.0, "exclude_alike": 0.2, "debias": 0.1},
    "nobody is left": {"exclude_within_km": 20_000.0},
}


def inputs(noise: float = 1.0) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Pairs that agree somewhat, and what the options may ask for."""
    generator = torch.Generator().manual_seed(0)
    images, other = torch.randn(2, ROWS, 16, generator=generator, dtype=torch.float64)
    features = torch.randn(ROWS, 5, generator=generator, dtype=torch.float64)
    return 3 * images, images + noise * other, {"lonlat": uniform_on_sphere(ROWS, generator), "alike_by": features}


def textbook(
    images: Tensor, locations: Tensor, logit_scale: Tensor, given: dict[str, Tensor], **options: Any
) -> Tensor:
    """The whole matrix; where a negative is left out its exponential is zero."""
    softness = options.pop("softness", 0.0)
    scale = logit_scale.exp()
    logits = scale * F.normalize(images, dim=-1) @ F.normalize(locations, dim=-1).T
    vectors = given["alike_by"] if options.get("alike_by") else images
    units = F.normalize(vectors.detach(), dim=-1)
    units = F.normalize(units - units.mean(0), dim=-1)
    lonlat = given["lonlat"]
    out = great_circle_km(lonlat[:, None], lonlat[None]) <= options.get("exclude_within_km", -1.0)
    out |= units @ units.T > options.get("exclude_alike", 2.0)
    negative = ~out & ~torch.eye(len(logits), dtype=torch.bool)
    target = (1 - softness) * torch.eye(len(logits)).to(logits)
    if softness:
        own = F.normalize(images.detach(), dim=-1)
        own = F.normalize(own - own.mean(0), dim=-1)
        target = target + softness * (own @ own.T / 0.1).softmax(-1)
    total, chance = 0.0 * logits.sum(), options.get("debias", 0.0)
    for matrix in (logits, logits.T):
        match = matrix.diagonal().exp()
        count = negative.sum(1).to(logits)
        wanted = ((matrix.exp() * negative).sum(1) - chance * count * match) / (1 - chance)
        others = torch.maximum(wanted, (count * (-scale).exp()).detach()) if chance else wanted
        total = total + ((match + others).log() - (target * matrix).sum(1)).mean() / 2
    return total


def evaluate(loss: Any, images: Tensor, locations: Tensor, scale: float, dtype: torch.dtype) -> list[Tensor]:
    given = [
        tensor.to(dtype).requires_grad_() for tensor in (images, locations, torch.tensor(scale, dtype=torch.float64))
    ]
    value = loss(*given)
    return [value.detach(), *torch.autograd.grad(value, given)]


def both(make: Any, option: str, chunk: int, scale: float, dtype: torch.dtype, **more: Any) -> tuple[Any, Any]:
    """What the loss says, and the textbook."""
    images, locations, given = inputs()
    loss = make(chunk=chunk, **OPTIONS[option], **more)
    asked = {name: given[name] for name in loss.inputs}
    found = evaluate(lambda *each: loss(*each, **asked), images, locations, scale, dtype)
    right = evaluate(
        lambda *each: textbook(*each, given, **OPTIONS[option], **more), images, locations, scale, torch.float64
    )
    return found, right


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("chunk", [1, 8, 512])
@pytest.mark.parametrize("scale", [2.6, MAX_LOGIT_SCALE])
def test_blocks_of_any_size_give_the_textbook_value_and_gradients(option: str, chunk: int, scale: float) -> None:
    found, right = both(ClipLoss, option, chunk, scale, torch.float64)
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("option", ["near", "alike features", "all"])
def test_soft_targets_keep_their_pull_beside_fewer_negatives(option: str) -> None:
    found, right = both(SoftClipLoss, option, 8, 2.6, torch.float64, softness=0.4)
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("scale", [2.6, MAX_LOGIT_SCALE])
def test_float32_is_right_to_a_hundred_thousandth(option: str, scale: float) -> None:
    found, right = both(ClipLoss, option, 8, scale, torch.float32)
    for mine, expected in zip(found, right, strict=True):
        assert (mine - expected).norm() < 1e-5 * expected.norm() + 1e-6


@pytest.mark.parametrize("excluded", [{"exclude_alike": -0.99}, {"exclude_within_km": 1e4}, {"debias": 0.5}])
def test_nothing_overflows_where_what_is_left_out_is_what_was_largest(excluded: dict[str, Any]) -> None:
    north, east = torch.eye(2, 4, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    lonlat = uniform_on_sphere(20, generator)
    mixed = torch.where(torch.arange(20)[:, None] % 2 == 0, north, -north)
    for images, locations in ((mixed, -mixed), (mixed, mixed), (north.repeat(20, 1), east.repeat(20, 1))):
        loss = ClipLoss(chunk=6, **excluded)
        asked = {"lonlat": lonlat} if loss.inputs else {}
        found = evaluate(lambda *each: loss(*each, **asked), images, locations, MAX_LOGIT_SCALE, torch.float32)  # noqa: B023
        assert all(part.isfinite().all() for part in found)
        right = evaluate(
            lambda *each: textbook(*each, {"lonlat": lonlat, "alike_by": lonlat}, **excluded),
            images, locations, MAX_LOGIT_SCALE, torch.float64,
        )  # fmt: skip
        for mine, expected in zip(found, right, strict=True):
            torch.testing.assert_close(mine.double(), expected, rtol=1e-4, atol=1e-4)


def test_a_kilometre_counts_in_float32() -> None:
    lonlat = torch.tensor([[10.0, 50.0], [10.0, 50.0 + 0.9 / 111.2], [10.0, 50.0 + 2.0 / 111.2]], dtype=torch.float64)
    images, locations, _ = inputs()
    loss = ClipLoss(exclude_within_km=1.0)
    given = [tensor[:3].float() for tensor in (images, locations)]
    found = loss(*given, torch.tensor(2.6), lonlat=lonlat)
    expected = textbook(
        images[:3], locations[:3], torch.tensor(2.6).double(), {"lonlat": lonlat}, exclude_within_km=1.0
    )
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert found.item() != pytest.approx(ClipLoss()(*given, torch.tensor(2.6)).item(), rel=1e-3)


def test_leaving_nothing_out_changes_no_bit() -> None:
    images, locations, given = inputs()
    plain = evaluate(ClipLoss(chunk=8), images, locations, 2.6, torch.float32)
    far = ClipLoss(chunk=8, exclude_within_km=1e-3)
    found = evaluate(lambda *each: far(*each, lonlat=given["lonlat"]), images, locations, 2.6, torch.float32)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(found, plain, strict=True))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"exclude_within_km": -1.0}, "loss.exclude_within_km must be from 0"),
        ({"exclude_within_km": 30_000.0}, "less than half the Earth's round, got 30000.0"),
        ({"exclude_alike": 1.0}, "loss.exclude_alike is a cosine from -1 to below 1, or null, got 1.0"),
        ({"debias": 1.0}, "loss.debias is a probability from 0 to below 1, got 1.0"),
        ({"debias": math.nan}, "loss.debias"),
    ],
)
def test_options_out_of_bounds_are_refused(option: dict[str, Any], message: str) -> None:
    for make in (ClipLoss, SoftClipLoss):
        with pytest.raises(ValueError, match=message):
            make(**option)


def test_an_input_that_is_missing_or_not_asked_for_is_named() -> None:
    images, locations, given = inputs()
    with pytest.raises(TypeError, match="takes lonlat by name, got"):
        ClipLoss(exclude_within_km=5.0)(images, locations, torch.tensor(2.6))
    with pytest.raises(TypeError, match="takes nothing by name, got lonlat"):
        ClipLoss()(images, locations, torch.tensor(2.6), lonlat=given["lonlat"])
