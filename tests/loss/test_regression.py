"""Regression to vectors of a place against its formula, and sums of losses."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from scipy.linalg import hadamard
from torch import Tensor, nn

from satclip.loss import ClipLoss, CombinedLoss, RegressionLoss
from satclip.loss.inputs import sees_images, sources_of
from satclip.loss.rows import mean_over_ranks

ROWS, DIM, TEACHER = 23, 6, 8


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """Location embeddings and two batches of a teacher's vectors, whose channels have very different scales."""
    generator = torch.Generator().manual_seed(0)
    locations = torch.randn(ROWS, DIM, generator=generator, dtype=torch.float64)
    scales = 10.0 ** torch.linspace(-2, 2, TEACHER, dtype=torch.float64)
    first, second = 3 + torch.randn(2, ROWS, TEACHER, generator=generator, dtype=torch.float64) * scales
    return locations, first, second


def made(**options: Any) -> RegressionLoss:
    torch.manual_seed(1)
    return RegressionLoss(embedding_dim=DIM, target_dim=TEACHER, target="teacher", **options).double()


def textbook(loss: RegressionLoss, locations: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    kind, mean = loss.standardise.kind, seen.mean(0)
    if kind == "phi":
        target = (target - mean) / seen.var(0, correction=0).mean().sqrt()
    if kind == "channel":
        target = (target - mean) / seen.std(0, correction=0)
    guess = locations @ loss.head.weight.T + loss.head.bias
    apart = 1 - (F.normalize(guess, dim=1) * F.normalize(target, dim=1)).sum(1)
    return (loss.cosine * apart + loss.mse * (guess - target).square().mean(1)).mean()


@pytest.mark.parametrize("kind", ["phi", "channel", "none"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 2.0), (3.0, 0.0)], ids=["both", "mse", "cosine"])
def test_value_and_gradients_are_those_of_the_formula(kind: str, weights: tuple[float, float]) -> None:
    locations, first, second = pairs()
    loss = made(standardise=kind, cosine=weights[0], mse=weights[1])
    loss(None, locations, torch.tensor(0.0), target=first)
    locations.requires_grad_()
    inputs = [locations, *loss.head.parameters()]
    value = loss(None, locations, torch.tensor(0.0), target=second)
    expected = textbook(loss, locations, second, torch.cat((first, second)))
    torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-12)
    found = torch.autograd.grad(value, inputs)
    torch.testing.assert_close(found, torch.autograd.grad(expected, inputs), rtol=1e-9, atol=1e-12)
    loss.eval()
    held = loss(None, locations, torch.tensor(0.0), target=first)
    torch.testing.assert_close(held, textbook(loss, locations, first, torch.cat((first, second))))


def test_a_turned_teacher_is_as_far_from_the_turned_head_so_that_phi_s_needs_no_rotation() -> None:
    locations, target, _ = pairs()
    loss = made()
    value = loss(None, locations, torch.tensor(0.0), target=target)
    centred = target - target.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    turn = torch.from_numpy(hadamard(TEACHER)).double() / TEACHER**0.5 @ axes.T  # PHI-S: H U'
    turned = centred @ turn.T
    torch.testing.assert_close(turned.var(0), turned.var(0).mean().expand(TEACHER))  # every channel the same variance
    again = made()
    with torch.no_grad():
        again.head.weight.copy_(turn @ loss.head.weight)
        again.head.bias.copy_(turn @ loss.head.bias)
    torch.testing.assert_close(again(None, locations, torch.tensor(0.0), target=turned), value)


def test_places_without_a_teacher_do_not_count_and_half_a_vector_is_not_hidden() -> None:
    locations, target, _ = pairs()
    there = torch.arange(ROWS) % 3 > 0
    holes = target.where(there[:, None], torch.nan)
    expected = made()(None, locations[there], torch.tensor(0.0), target=target[there])
    torch.testing.assert_close(made()(None, locations, torch.tensor(0.0), target=holes), expected)
    target[4, 2] = torch.nan
    assert made()(None, locations, torch.tensor(0.0), target=target).isnan()
    with pytest.raises(ValueError, match="teacher is NaN at every place of the batch"):
        made()(None, locations, torch.tensor(0.0), target=torch.full_like(target, torch.nan))


def test_extremes_are_finite() -> None:
    locations, target, _ = pairs()
    for vectors in (torch.zeros_like(target), 1e15 * target, 1e-15 * target):
        given = locations.float().requires_grad_()
        value = made().float()(None, given, torch.tensor(0.0), target=vectors.float())
        assert value.isfinite()
        assert torch.autograd.grad(value, given)[0].isfinite().all()


def test_statistics_are_kept_with_the_weights() -> None:
    locations, target, second = pairs()
    loss, again = made(), made()
    loss(None, locations, torch.tensor(0.0), target=target)
    again.load_state_dict(loss.state_dict())
    one, other = (each(None, locations, torch.tensor(0.0), target=second) for each in (loss, again))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"standardise": "z"}, "loss.standardise must be one of phi, channel, none, got 'z'"),
        ({"mse": -1.0}, "loss.cosine and loss.mse must be 0 or more"),
        ({"mse": 0.0, "cosine": 0.0}, "not both 0"),
        ({"target_dim": 0}, "loss.target_dim must be at least 1, got 6 and 0"),
    ],
)
def test_options_out_of_bounds_are_refused(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegressionLoss(**{"embedding_dim": DIM, "target_dim": TEACHER, **option})


def test_a_teacher_of_another_width_is_refused_with_the_right_one() -> None:
    with pytest.raises(ValueError, match=r"teacher is \[23, 5\] for 23 places.*give loss.target_dim=5"):
        made()(None, pairs()[0], torch.tensor(0.0), target=torch.ones(ROWS, 5))


def test_a_sum_of_losses_is_their_weighted_sum_and_asks_for_what_each_asks() -> None:
    locations, target, _ = pairs()
    images, scale = 2 * locations.flip(0), torch.tensor(2.6, dtype=torch.float64)
    loss = CombinedLoss({"clip": ClipLoss(), "alike": made()}, {"alike": 0.3})
    assert sources_of(loss) == {"teacher": "teacher"}
    assert sees_images(loss)
    assert not sees_images(CombinedLoss({"alike": made()}))
    found = loss(images, locations, scale, teacher=target)
    expected = {
        "clip": ClipLoss()(images, locations, scale),
        "alike": 0.3 * made()(None, locations, scale, target=target),
    }
    assert list(found) == ["clip", "alike"]
    torch.testing.assert_close(found, expected)
    inner = CombinedLoss({"both": loss})(images, locations, scale, teacher=target)
    assert list(inner) == ["both/clip", "both/alike"]


@pytest.mark.parametrize(
    ("losses", "weights", "message"),
    [
        ({}, {}, "loss.losses is empty"),
        ({"a b": ClipLoss()}, {}, "a b cannot name a metric"),
        ({"clip": ClipLoss()}, {"clop": 1.0}, "loss.weights of clop: the losses are clip"),
        ({"clip": ClipLoss()}, {"clip": -1.0}, "loss.weights.clip must be 0 or more, got -1.0"),
    ],
)
def test_weights_of_nothing_are_refused(losses: dict[str, nn.Module], weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CombinedLoss(losses, weights)


def test_a_mean_over_places_takes_one_number_a_place() -> None:
    assert mean_over_ranks(torch.tensor([1.0, torch.nan, 4.0]), torch.tensor([True, False, True])) == 2.5
    assert mean_over_ranks(torch.ones(2), torch.zeros(2, dtype=torch.bool)) == 0
    with pytest.raises(ValueError, match=r"one number a place, \[B\], got \[2, 3\]"):
        mean_over_ranks(torch.ones(2, 3))
    with pytest.raises(ValueError, match="empty on every rank"):
        mean_over_ranks(torch.ones(0))
