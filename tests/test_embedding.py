"""Embedding many places at once."""

import pytest
import torch
from torch import Tensor, nn

from satclip.embedding import embed
from satclip.location.encodings import ENCODINGS
from satclip.sphere import uniform_on_sphere


class Halves(nn.Module):
    """Half of the coordinates in evaluation, noise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, lonlat: Tensor) -> Tensor:
        return torch.rand(len(lonlat), 2) if self.training else lonlat.float() * self.share


def test_batches_change_nothing_and_the_mode_is_kept() -> None:
    lonlat = uniform_on_sphere(100, torch.Generator().manual_seed(0))
    for encoder in (Halves().train(), Halves().eval()):
        was_training = encoder.training
        found = embed(encoder, lonlat, batch_size=7)
        assert torch.equal(found, lonlat.float() / 2)
        assert not found.requires_grad
        assert encoder.training is was_training


def test_an_encoding_without_weights_embeds_too() -> None:
    lonlat = uniform_on_sphere(5, torch.Generator().manual_seed(0))
    assert torch.equal(embed(ENCODINGS["wrap"](), lonlat), ENCODINGS["wrap"]()(lonlat))


def test_the_mode_is_kept_when_the_encoder_fails() -> None:
    encoder = nn.Linear(3, 2, dtype=torch.float64).train()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        embed(encoder, torch.ones(2, 2))
    assert encoder.training
