"""The blockwise losses against the textbook formulas on the full matrix in float64, gradients by autograd."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from satclip.loss import MAX_LOGIT_SCALE, ClipLoss, SigLipLoss, SoftClipLoss
from satclip.loss.inputs import sources_of
from satclip.sphere import great_circle_km, uniform_on_sphere

Textbook = Callable[[Tensor, Tensor, Tensor], Tensor]
BIAS = -10.0


def cosines(images: Tensor, locations: Tensor) -> Tensor:
    return F.normalize(images, dim=-1) @ F.normalize(locations, dim=-1).T


def textbook_clip(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
    logits = logit_scale.exp() * cosines(images, locations)
    match = torch.arange(len(logits))
    return (F.cross_entropy(logits, match) + F.cross_entropy(logits.T, match)) / 2


def textbook_siglip(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
    logits = logit_scale.exp() * cosines(images, locations) + BIAS
    signs = 2 * torch.eye(len(logits), dtype=logits.dtype) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def textbook_soft(images: Tensor, locations: Tensor, logit_scale: Tensor, softness: float = 0.9) -> Tensor:
    units = F.normalize(images.detach(), dim=-1)
    units = F.normalize(units - units.mean(0), dim=-1)
    return cross_entropy_against(units @ units.T / 0.1, images, locations, logit_scale, softness)


def cross_entropy_against(
    likeness: Tensor, images: Tensor, locations: Tensor, logit_scale: Tensor, softness: float
) -> Tensor:
    logits = logit_scale.exp() * cosines(images, locations)
    target = (1 - softness) * torch.eye(len(logits)).to(likeness) + softness * likeness.softmax(-1)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def evaluate(loss: Textbook, images: Tensor, locations: Tensor, scale: float, dtype: torch.dtype) -> list[Tensor]:
    """[loss, gradient to images, to locations, to the scale]."""
    inputs = [
        tensor.to(dtype).requires_grad_() for tensor in (images, locations, torch.tensor(scale, dtype=torch.float64))
    ]
    value = loss(*inputs)
    return [value.detach(), *torch.autograd.grad(value, inputs)]


def embeddings(rows: int = 37, dim: int = 16, noise: float = 1.0) -> tuple[Tensor, Tensor]:
    """Random pairs that agree somewhat, of uneven lengths."""
    generator = torch.Generator().manual_seed(0)
    images, other = torch.randn(2, rows, dim, generator=generator, dtype=torch.float64)
    return 3 * images, images + noise * other


EACH = pytest.mark.parametrize(
    ("make", "textbook"),
    [(ClipLoss, textbook_clip), (SigLipLoss, textbook_siglip), (SoftClipLoss, textbook_soft)],
    ids=["clip", "siglip", "soft_clip"],
)


@EACH
@pytest.mark.parametrize("chunk", [1, 8, 37, 512])
@pytest.mark.parametrize("scale", [2.6, MAX_LOGIT_SCALE])
def test_blocks_of_any_size_give_the_textbook_value_and_gradients(
    make: Any, textbook: Textbook, chunk: int, scale: float
) -> None:
    found = evaluate(make(chunk=chunk), *embeddings(), scale, torch.float64)
    torch.testing.assert_close(found, evaluate(textbook, *embeddings(), scale, torch.float64), rtol=1e-11, atol=1e-12)


@EACH
@pytest.mark.parametrize("scale", [0.0, 2.6, MAX_LOGIT_SCALE])
def test_float32_is_right_to_a_millionth(make: Any, textbook: Textbook, scale: float) -> None:
    images, locations = (tensor.float().double() for tensor in embeddings(300, 64))
    found = evaluate(make(chunk=64), images, locations, scale, torch.float32)
    expected = evaluate(textbook, images, locations, scale, torch.float64)
    for mine, right in zip(found, expected, strict=True):
        assert (mine - right).norm() < 3e-6 * right.norm() + 1e-6


def hostile() -> dict[str, tuple[Tensor, Tensor]]:
    """Embeddings for which exp(scale * (cosine - 1)) underflows in float32 for whole rows or columns."""
    north, east = torch.eye(2, 4, dtype=torch.float64)
    rows = 20
    mixed = torch.where(torch.arange(rows)[:, None] % 2 == 0, north, -north)
    one_outcast = north.repeat(rows, 1)
    one_outcast[7] = -north
    return {
        "all opposite": (north.repeat(rows, 1), -north.repeat(rows, 1)),
        "all at right angles": (north.repeat(rows, 1), east.repeat(rows, 1)),
        "half opposite": (north.repeat(rows, 1), mixed),
        "every match is the worst": (mixed, -mixed),
        "one image opposite to all": (one_outcast, north.repeat(rows, 1)),
        "one location opposite to all": (north.repeat(rows, 1), one_outcast),
        "all equal": (north.repeat(rows, 1), north.repeat(rows, 1)),
    }


@EACH
@pytest.mark.parametrize("case", hostile())
def test_nothing_overflows_or_vanishes_at_the_largest_scale(make: Any, textbook: Textbook, case: str) -> None:
    found = evaluate(make(chunk=6), *hostile()[case], MAX_LOGIT_SCALE, torch.float32)
    expected = evaluate(textbook, *hostile()[case], MAX_LOGIT_SCALE, torch.float64)
    assert all(part.isfinite().all() for part in found)
    for mine, right in zip(found, expected, strict=True):
        torch.testing.assert_close(mine.double(), right, rtol=1e-5, atol=3e-5)  # logits of 100: ulp 8e-6


@pytest.mark.parametrize(("noise", "scale"), [(0.5, 30.0), (1.0, 90.0)])
def test_a_batch_that_is_nearly_solved_keeps_the_digits_of_its_small_loss(noise: float, scale: float) -> None:
    images, locations = embeddings(60, 64, noise=noise)
    found = evaluate(ClipLoss(chunk=16), images, locations, math.log(scale), torch.float32)
    expected = evaluate(textbook_clip, images, locations, math.log(scale), torch.float64)
    assert 1e-9 < expected[0] < 1e-6
    for mine, right in zip(found, expected, strict=True):
        assert (mine - right).norm() < 1e-4 * right.norm()


def test_a_single_pair_has_nothing_to_learn_from() -> None:
    for scale in (2.6, MAX_LOGIT_SCALE):
        images, locations = embeddings(1)
        assert all(part.abs().max() == 0 for part in evaluate(ClipLoss(), images, locations, scale, torch.float32))


@EACH
def test_a_temperature_out_of_bounds_counts_as_the_bound_and_can_come_back(make: Any, textbook: Textbook) -> None:
    inside = evaluate(make(), *embeddings(), MAX_LOGIT_SCALE, torch.float64)
    outside = evaluate(make(), *embeddings(), 30.0, torch.float64)
    torch.testing.assert_close(outside, inside)
    assert outside[-1].abs() > 1e-3
    torch.testing.assert_close(inside, evaluate(textbook, *embeddings(), math.log(100), torch.float64))


@EACH
def test_a_zero_embedding_is_no_division_by_zero(make: Any, textbook: Textbook) -> None:
    images, locations = embeddings()
    images[3] = 0
    assert all(part.isfinite().all() for part in evaluate(make(), images, locations, 2.6, torch.float32))


@EACH
def test_autocast_changes_nothing(make: Any, textbook: Textbook) -> None:
    images, locations = (tensor.bfloat16() for tensor in embeddings())
    loss = make(chunk=8)
    plain = evaluate(loss, images, locations, 2.6, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        cast = evaluate(loss, images, locations, 2.6, torch.float32)
        halves = loss(images, locations, torch.tensor(2.6))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(cast, plain, strict=True))
    assert halves.dtype == torch.float32
    assert torch.equal(halves, plain[0])


@EACH
def test_a_nan_is_not_hidden(make: Any, textbook: Textbook) -> None:
    images, locations = embeddings()
    locations[36, 2] = torch.nan
    assert make(chunk=8)(images, locations, torch.tensor(2.6)).isnan()


class Largest(TorchDispatchMode):
    """Notes the largest tensor that any operation touches."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [leaf.untyped_storage().size() // 4 for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self.elements = max(self.elements, *sizes, 0)
        return result


@EACH
def test_nothing_of_the_size_of_the_matrix_is_ever_made(make: Any, textbook: Textbook) -> None:
    inputs = [tensor.float().requires_grad_() for tensor in (*embeddings(640, 8), torch.tensor(2.6))]
    with Largest() as seen:
        make(chunk=16)(*inputs).backward()
    assert 16 * 640 <= seen.elements <= 2 * 16 * 640
    with Largest() as seen:
        textbook(*inputs).backward()
    assert seen.elements >= 640 * 640


def test_the_bias_of_siglip_learns_and_starts_where_the_paper_does() -> None:
    images, locations = embeddings()
    loss = SigLipLoss(chunk=8).double()
    assert loss.bias.item() == BIAS
    assert SigLipLoss(bias=-3).bias.item() == -3.0  # as a config file writes it
    loss(images, locations, torch.tensor(2.6)).backward()
    bias = torch.tensor(BIAS, dtype=torch.float64, requires_grad=True)
    signs = 2 * torch.eye(len(images), dtype=torch.float64) - 1
    logits = math.exp(torch.tensor(2.6)) * cosines(images, locations) + bias
    (-F.logsigmoid(signs * logits).sum() / len(images)).backward()
    torch.testing.assert_close(loss.bias.grad, bias.grad, rtol=1e-6, atol=1e-9)


@EACH
def test_unequal_embeddings_are_refused_with_their_shapes(make: Any, textbook: Textbook) -> None:
    with pytest.raises(ValueError, match=r"\(4, 8\) and \(4, 6\)"):
        make()(torch.ones(4, 8), torch.ones(4, 6), torch.tensor(0.0))
    with pytest.raises(ValueError, match="empty on every rank"):
        make()(torch.ones(0, 8), torch.ones(0, 8), torch.tensor(0.0))
    with pytest.raises(ValueError, match=r"loss.chunk must be at least 1, got 0"):
        make(chunk=0)


def test_a_loss_is_a_module_so_that_its_parameters_reach_the_optimiser() -> None:
    assert [name for name, _ in nn.ModuleDict({"loss": SigLipLoss()}).named_parameters()] == ["loss.bias"]
    assert not list(ClipLoss().parameters())


@pytest.mark.parametrize("softness", [0.0, 0.3, 1.0])
def test_soft_targets_lie_between_the_match_and_the_likeness(softness: float) -> None:
    soft = SoftClipLoss(softness=softness, chunk=8)
    found = evaluate(soft, *embeddings(), 2.6, torch.float64)
    expected = evaluate(lambda *inputs: textbook_soft(*inputs, softness=softness), *embeddings(), 2.6, torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


def test_likeness_may_be_told_by_features_and_by_distance() -> None:
    images, locations = embeddings()
    scale = torch.tensor(2.6, dtype=torch.float64)
    features = torch.randn(37, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    units = F.normalize(features, dim=-1)
    units = F.normalize(units - units.mean(0), dim=-1)
    by_features = SoftClipLoss(softness=0.7, likeness="features", likeness_temperature=0.2, chunk=8)
    assert sources_of(by_features) == {"image_features": "image_features"}
    torch.testing.assert_close(
        by_features(images, locations, scale, image_features=features),
        cross_entropy_against(units @ units.T / 0.2, images, locations, scale, 0.7),
    )
    lonlat = uniform_on_sphere(37, torch.Generator().manual_seed(2))
    by_distance = SoftClipLoss(softness=0.7, likeness="sphere", likeness_km=2000.0, chunk=8)
    radians = great_circle_km(lonlat[:, None], lonlat[None]) / 6371.0088
    torch.testing.assert_close(
        by_distance(images, locations, scale, lonlat=lonlat),
        cross_entropy_against(radians.cos() / (2000 / 6371.0088) ** 2, images, locations, scale, 0.7),
    )
    with pytest.raises(TypeError, match="likeness=sphere needs lonlat"):
        by_distance(images, locations, scale)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"softness": 1.1}, r"loss.softness must be from 0 \(one-hot targets\) to 1, got 1.1"),
        ({"softness": math.nan}, "loss.softness"),
        ({"likeness": "colour"}, "loss.likeness must be one of embedding, features, sphere, got 'colour'"),
        ({"likeness_temperature": 0.0}, "loss.likeness_temperature must be positive, got 0.0"),
        ({"likeness_km": -1.0}, "loss.likeness_km must be positive"),
    ],
)
def test_a_softness_out_of_bounds_is_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SoftClipLoss(**option)
