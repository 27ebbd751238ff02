"""What a patch is like in a few numbers: means and deviations of its bands, over all of it and over parts of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip.data.geotiff.bands import ABSENT

AT_ONCE = 1 << 24  # pixels of all bands that are float32 at a time: 64 MB


@dataclass(frozen=True)
class PatchStatistics:
    """Means and standard deviations of every band in g x g equal parts of the whole raw patch, for each g of `grids`.

    They do not depend on crop, flips, blur or epoch, and so are the same numbers in training and validation.

    Attributes:
        places: number of each wanted band among those decoded, `ABSENT` for one that is zero.
        scale: raw values are divided by it.
        grids: parts a side; (1, 4) gives the patch and its sixteenths.

    Raises:
        ValueError: a grid is below 1, or one comes twice.
    """

    places: Sequence[int]
    scale: float
    grids: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(grid < 1 for grid in self.grids) or len(set(self.grids)) < len(self.grids):
            raise ValueError(f"dataset.image_statistics takes different numbers of 1 or more, got {list(self.grids)}")

    @property
    def dim(self) -> int:
        """How many numbers a patch has."""
        return statistics_dim(len(self.places), self.grids)

    def __call__(self, raw: Tensor, sizes: Tensor | None = None) -> Tensor:
        """Raw patches [B, K, H, W] -> float32 [B, dim]: of each grid all means, then all deviations, band by band.

        `sizes` [B, 2] says how far down and across each patch goes, where that is not [H, W]. A part of a patch whose
        side does not divide by g reaches into the next pixel, so that every pixel counts.

        Raises:
            ValueError: a patch has fewer pixels a side than a grid has parts.
        """
        if sizes is not None:
            each = [self(raw[i : i + 1, :, :height, :width]) for i, (height, width) in enumerate(sizes.tolist())]
            return torch.cat(each) if each else self._empty(raw)
        if min(raw.shape[-2:]) < max(self.grids):
            raise ValueError(
                f"patches of {raw.shape[-2]} x {raw.shape[-1]} pixels have no {max(self.grids)} x {max(self.grids)} "
                f"parts; give dataset.image_statistics of {min(raw.shape[-2:])} at most"
            )
        step = max(1, AT_ONCE // max(1, raw[0].numel())) if len(raw) else 1
        parts = [self._of(part) for part in torch.split(raw, step)] if len(raw) else [self._empty(raw)]
        return torch.cat(parts)

    def _of(self, raw: Tensor) -> Tensor:
        bands = [
            torch.zeros_like(raw[:, 0], dtype=torch.float32) if band == ABSENT else raw[:, band].to(torch.float32)
            for band in self.places
        ]
        pixels = torch.stack(bands, 1) / self.scale
        middle = pixels.mean((-2, -1), keepdim=True)  # taken off first, or the squares would cancel
        centred = pixels - middle
        found: list[Tensor] = []
        for grid in self.grids:
            mean = F.adaptive_avg_pool2d(centred, grid)
            square = F.adaptive_avg_pool2d(centred.square(), grid)
            found += [(mean + middle).flatten(1), (square - mean.square()).clamp_min(0).sqrt().flatten(1)]
        return torch.cat(found, 1)

    def _empty(self, raw: Tensor) -> Tensor:
        return torch.empty(0, self.dim, device=raw.device)


def statistics_dim(bands: int, grids: Sequence[int]) -> int:
    """How many numbers the statistics of a patch have."""
    return 2 * bands * sum(grid**2 for grid in grids)
