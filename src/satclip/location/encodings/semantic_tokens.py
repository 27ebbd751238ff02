"""Learned tokens that a place, or a picture, attends to."""

import math

import torch
from torch import Tensor, nn

BASE_TEMPERATURE, FINAL_TEMPERATURE = 0.5, 0.2  # of a place's attention: where it starts, and what it is annealed to
LOWEST, HIGHEST = 0.01, 10.0
IMAGE_TEMPERATURE = 0.05
SHARE = 0.5  # of the tokens in what comes out; the rest is the place's own


class SemanticTokens(nn.Module):
    """LayerNorm((1 - g) W e + g a G): a place's vector e, [B, d], mixed half and half with what it attends to.

    a = softmax((A e + b) / T) over the R tokens G. T is exp(log_temperature), bounded, annealed towards 0.2 as training
    goes on: T (1 - p) + 0.2 p. The published model forgets p when it is saved, so that what is released is another
    function than what was trained; here it is kept unless `published`. In training single tokens are left out, the
    same ones for the whole batch (arXiv 2606.27514).

    The tokens of a picture, b = softmax((A' v + b') / 0.05) of its embedding v, [B, D], serve training alone.

    Args:
        in_dim: d.
        width: D, of the tokens and of what comes out.
        tokens: R.
        dropout: the chance that a token is left out, in training.
        published: forget p on saving.
    """

    progress: Tensor  # p, from 0 to 1

    def __init__(self, in_dim: int, width: int, tokens: int, *, dropout: float, published: bool) -> None:
        super().__init__()
        self.dropout = dropout
        self.tokens = nn.Parameter(torch.empty(tokens, width))
        self.of_places = nn.Linear(in_dim, tokens)
        self.of_pictures = nn.Linear(width, tokens)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(BASE_TEMPERATURE)))
        self.project: nn.Module = nn.Linear(in_dim, width) if in_dim != width else nn.Identity()
        self.norm = nn.LayerNorm(width)
        self.register_buffer("progress", torch.zeros(()), persistent=not published)
        with torch.no_grad():
            nn.init.orthogonal_(self.tokens)
            self.tokens.div_(torch.linalg.vector_norm(self.tokens, dim=-1, keepdim=True))
            for layer in (self.of_places, self.of_pictures):
                nn.init.normal_(layer.weight, std=0.1)
                nn.init.zeros_(layer.bias)

    def temperature(self) -> Tensor:
        """Of a place's attention, a scalar."""
        base = self.log_temperature.exp().clamp(LOWEST, HIGHEST)
        return base + self.progress.to(base.dtype) * (FINAL_TEMPERATURE - base)

    def attention(self, place: Tensor) -> Tensor:
        """What a place attends to: [B, d] -> [B, R], rows of sum 1."""
        logits = self.of_places(place) / self.temperature()
        if self.training and self.dropout:
            draw = torch.rand(logits.shape[-1], device=logits.device)
            kept = (draw >= self.dropout) | (draw == draw.max())  # one at least
            logits = logits.masked_fill(~kept, -math.inf)
        return torch.softmax(logits, -1)

    def picture_attention(self, picture: Tensor) -> Tensor:
        """What pictures attend to: unit embeddings [B, D] -> [B, R]."""
        return torch.softmax(self.of_pictures(picture) / IMAGE_TEMPERATURE, -1)

    def mix(self, place: Tensor, attention: Tensor) -> Tensor:
        """[B, d], [B, R] -> [B, D]."""
        mixed: Tensor = self.norm((1 - SHARE) * self.project(place) + SHARE * (attention @ self.tokens))
        return mixed
