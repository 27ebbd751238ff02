"""Vectors of a teacher brought to one scale, by running statistics over everything that training has shown."""

from typing import Literal

import torch
from torch import Tensor, nn

from satclip import ranks

Standard = Literal["phi", "channel", "none"]
KINDS: tuple[Standard, ...] = ("phi", "channel", "none")
LEAST = 1e-6  # of a deviation: a channel that never varies stays zero


class Standardise(nn.Module):
    """(t - mean) / scale, both over all rows of all ranks that were seen in training mode, this batch included.

    "phi" divides all channels by one number, the root of their mean variance. That is PHI-S (arXiv 2410.01680) without
    its rotation: PHI-S turns the teacher's space until every channel has that same variance, and neither a mean square
    error over channels nor a cosine can tell, since a rotation keeps both and the linear head in front of them learns
    it. How much each direction counts beside the others stays as the teacher has it. "channel" gives every channel
    variance 1, whatever it said. "none" leaves the vectors as they are.

    Sums are merged batch by batch (Chan, Golub and LeVeque 1983, The American Statistician 37(3)); they are part of the
    state dict, so that a run resumes with them.

    Args:
        dim: channels, K.
        kind: one of the three.

    Raises:
        ValueError: there is no such kind.
    """

    count: Tensor
    mean: Tensor
    spread: Tensor

    def __init__(self, dim: int, kind: Standard = "phi") -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"loss.standardise must be one of {', '.join(KINDS)}, got {kind!r}")
        self.kind = kind
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.zeros(dim))  # sum of squared deviations from the mean

    @torch.no_grad()
    def forward(self, rows: Tensor, there: Tensor) -> Tensor:
        """Vectors [B, K] -> the same, standardised; only rows where `there` [B] is true are counted.

        In evaluation mode nothing is counted; before anything was, a batch is measured by itself.
        """
        if self.kind == "none":
            return rows
        count, mean, spread = self.count, self.mean.to(rows.dtype), self.spread.to(rows.dtype)
        if self.training or not bool(count):
            count, mean, spread = _merged(count.to(rows.dtype), mean, spread, rows[there])
        if self.training:
            self.count.copy_(count)
            self.mean.copy_(mean)
            self.spread.copy_(spread)
        variance = spread / count.clamp_min(1)
        scale = (variance.mean() if self.kind == "phi" else variance).sqrt()
        return (rows - mean) / scale.clamp_min(LEAST)


def _merged(count: Tensor, mean: Tensor, spread: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, means and squared deviations with the rows of all ranks added."""
    sums = ranks.total(torch.cat((rows.sum(0), rows.new_tensor([float(len(rows))]))))
    more = sums[-1]
    there = sums[:-1] / more.clamp_min(1)
    inner = ranks.total((rows - there).square().sum(0))
    whole = (count + more).clamp_min(1)
    step = there - mean
    return count + more, mean + step * (more / whole), spread + inner + step.square() * (count * more / whole)
