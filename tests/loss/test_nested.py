"""Losses over prefixes against the sum that they are."""

from typing import Any

import pytest
import torch
from torch import Tensor

from satclip.loss import ClipLoss, CombinedLoss, NestedLoss, RegressionLoss, SigLipLoss, SoftClipLoss


def embeddings(dim: int = 12) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images, other = torch.randn(2, 19, dim, generator=generator, dtype=torch.float64)
    scale = torch.tensor(2.6, dtype=torch.float64)
    return images.requires_grad_(), (images + other).detach().requires_grad_(), scale.requires_grad_()


@pytest.mark.parametrize("make", [ClipLoss, SigLipLoss, SoftClipLoss])
@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 3.0]])
def test_value_and_gradients_are_those_of_the_prefixes(make: Any, weights: list[float] | None) -> None:
    given, parts = embeddings(), weights or [1.0, 1.0, 1.0]
    found = NestedLoss(make(chunk=5), embedding_dim=12, dims=[2, 5, 64], weights=weights)(*given)
    images, locations, scale = given
    each = [make()(images[:, :dim], locations[:, :dim], scale) for dim in (2, 5, 12)]
    expected = torch.stack([weight * term for weight, term in zip(parts, each, strict=True)]).sum() / sum(parts)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, given), torch.autograd.grad(expected, given))


def test_extremes_are_finite() -> None:
    for factor in (0.0, 1e-20, 1e15):
        images, locations, scale = (tensor.detach().float() for tensor in embeddings())
        images, scale = (images * factor).requires_grad_(), scale + 10
        value = NestedLoss(ClipLoss(), embedding_dim=12, dims=[1, 3])(images, locations, scale)
        assert value.isfinite()
        assert torch.autograd.grad(value, images)[0].isfinite().all()


def test_what_the_inner_loss_asks_for_is_asked_for() -> None:
    images, locations, scale = embeddings()
    lonlat = torch.stack((torch.linspace(-170, 170, 19), torch.linspace(-80, 80, 19)), 1).double()
    nested = NestedLoss(ClipLoss(exclude_within_km=4000), embedding_dim=12, dims=[4])
    assert nested.inputs == {"lonlat": "lonlat"}
    assert nested(images, locations, scale, lonlat=lonlat) != NestedLoss(ClipLoss(), embedding_dim=12, dims=[4])(
        images, locations, scale
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": [5, 2]}, r"loss.dims must ascend from 1 or more, got \[5, 2\]"),
        ({"dims": []}, "loss.dims must ascend"),
        ({"dims": [12, 64]}, "has no prefix of embedding_dim=12; give a smaller one"),
        (
            {"dims": [4], "weights": [1.0]},
            "loss.weights takes 2 numbers of 0 or more, one for each of the prefixes 4, 12",
        ),
        ({"dims": [4], "weights": [0.0, 0.0]}, "not all 0"),
        ({"dims": [4], "loss": RegressionLoss(embedding_dim=12, target_dim=2)}, "must compare images and locations"),
    ],
)
def test_prefixes_that_are_none_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NestedLoss(**{"loss": ClipLoss(), "embedding_dim": 12, **options})


def test_a_width_or_an_inner_loss_that_does_not_fit_is_told() -> None:
    with pytest.raises(ValueError, match=r"loss\.embedding_dim=10, and embeddings have 12 numbers"):
        NestedLoss(ClipLoss(), embedding_dim=10, dims=[4])(*embeddings())
    with pytest.raises(ValueError, match="put the nested loss inside loss=combined"):
        NestedLoss(CombinedLoss({"clip": ClipLoss()}), embedding_dim=12, dims=[4])(*embeddings())
