"""Gradient caching against the same batch in one piece."""

import weakref

import pytest
import torch
from torch import Tensor, nn

from satclip.loss import ClipLoss, SigLipLoss
from satclip.training.gradcache import cached_outputs


class Towers(nn.Module):
    """Two small networks that remember which of their activations still live."""

    def __init__(self, *, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        middle = nn.BatchNorm1d(12) if norm else nn.Identity()
        self.image = nn.Sequential(nn.Linear(9, 12), middle, nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 6))
        self.location = nn.Sequential(nn.Linear(2, 12), nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 6))
        self.logit_scale = nn.Parameter(torch.tensor(2.6))
        self.living: list[weakref.ref[Tensor]] = []
        self.calls = 0
        self.most_alive = 0

    def encode(self, images: Tensor, lonlat: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.image[:-1](images)
        self.calls += 1
        self.living.append(weakref.ref(hidden))
        self.most_alive = max(self.most_alive, sum(activation() is not None for activation in self.living))
        return self.image[-1](hidden), self.location(lonlat)

    def gradients(self) -> dict[str, Tensor]:
        return {name: parameter.grad for name, parameter in self.named_parameters() if parameter.grad is not None}


def batch(rows: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(rows, 9, generator=generator), torch.randn(rows, 2, generator=generator)


def build(**options: float) -> Towers:
    torch.manual_seed(2)
    return Towers(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("loss", [ClipLoss(), SigLipLoss()], ids=["clip", "siglip"])
def test_chunks_give_the_gradients_of_the_whole_batch(loss: nn.Module) -> None:
    images, lonlat = batch(50)
    whole, cached = build(), build()
    expected = loss(*whole.encode(images, lonlat), whole.logit_scale)
    expected.backward()
    pieces = list(zip(images.split(16), lonlat.split(16), strict=True))
    found = loss(*cached_outputs(cached.encode, pieces, cached), cached.logit_scale)
    found.backward()
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert cached.gradients().keys() == dict(cached.named_parameters()).keys()
    torch.testing.assert_close(cached.gradients(), whole.gradients(), rtol=1e-6, atol=1e-6)


def test_only_one_chunk_is_alive_at_a_time() -> None:
    images, lonlat = batch(50)
    towers = build()
    embeddings = cached_outputs(towers.encode, zip(images.split(10), lonlat.split(10), strict=True), towers)
    assert not any(activation() is not None for activation in towers.living)
    ClipLoss()(*embeddings, towers.logit_scale).backward()
    assert towers.calls == 10
    assert towers.most_alive == 1


def test_dropout_draws_the_same_in_both_passes() -> None:
    images, lonlat = batch(40)
    pieces = list(zip(images.split(10), lonlat.split(10), strict=True))
    kept, cached = build(dropout=0.5), build(dropout=0.5)
    torch.manual_seed(3)
    halves = [kept.encode(*piece) for piece in pieces]
    ClipLoss()(*map(torch.cat, zip(*halves, strict=True)), kept.logit_scale).backward()
    torch.manual_seed(3)
    ClipLoss()(*cached_outputs(cached.encode, pieces, cached), cached.logit_scale).backward()
    torch.testing.assert_close(cached.gradients(), kept.gradients(), rtol=1e-6, atol=1e-6)


def test_batch_norms_note_their_statistics_once() -> None:
    images, lonlat = batch(40)
    pieces = list(zip(images.split(10), lonlat.split(10), strict=True))
    kept, cached = build(norm=True), build(norm=True)
    halves = [kept.encode(*piece) for piece in pieces]
    ClipLoss()(*map(torch.cat, zip(*halves, strict=True)), kept.logit_scale).backward()
    ClipLoss()(*cached_outputs(cached.encode, pieces, cached), cached.logit_scale).backward()
    torch.testing.assert_close(cached.state_dict(), kept.state_dict())
    torch.testing.assert_close(cached.gradients(), kept.gradients(), rtol=1e-6, atol=1e-6)
    assert cached.image[1].momentum == 0.1


def test_without_a_chunk_it_says_so() -> None:
    towers = build()
    with pytest.raises(ValueError, match="no chunk to encode"):
        cached_outputs(towers.encode, [], towers)
