"""From raw patches to what the towers see, a whole batch at a time, on whatever device the batch lies.

Every draw is a function of (seed, epoch, sample id), so it does not depend on batches, processes, workers or restarts.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from satclip.data.batches.batch_memory import batch_memory
from satclip.data.geotiff.bands import ABSENT
from satclip.hashing import uniform
from satclip.optional_import import optional
from satclip.sphere import wrap_longitude

# Patches are worked on a few at a time: on a processor what stays in its cache takes a quarter of the time, elsewhere
# the intermediate results of a whole batch would take gigabytes.
MOST_PIXELS = {"cpu": 1 << 20, "others": 1 << 27}
PURPOSES = 8  # of the draws: one of each for every patch
TOP, LEFT, FLIP_ROWS, FLIP_COLUMNS, TURN, BLUR, EAST, NORTH = range(PURPOSES)


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training batch; validation gets the centre crop, the bands and the scale only.

    Attributes:
        places: number of each wanted band among those decoded, `ABSENT` for one to be filled with zeros.
        image_size: pixels of the crop, both ways.
        scale: raw values are divided by it.
        flips: mirror at random, both ways.
        rotate: turn by a random multiple of 90 degrees.
        blur_sigma: bounds of the standard deviation, in pixels, of a 3x3 Gaussian blur; None for no blur.
        jitter_degrees: places move by up to so many degrees of latitude each way, and as many kilometres east or west.

    Raises:
        ValueError: the bounds of the blur are not positive, or in the wrong order.
    """

    places: Sequence[int]
    image_size: int
    scale: float
    flips: bool = True
    rotate: bool = False
    blur_sigma: Sequence[float] | None = (0.1, 2.0)
    jitter_degrees: float = 0.005

    def __post_init__(self) -> None:
        if self.blur_sigma is not None:
            low, high = self.blur_sigma
            if not 0 < low <= high < math.inf:
                raise ValueError(
                    f"dataset.blur_sigma takes [low, high] with 0 < low <= high, got {list(self.blur_sigma)}; "
                    "give [0.1, 2.0], or null for no blur"
                )

    def train(
        self, raw: Tensor, lonlat: Tensor, ids: Tensor, *, seed: int, epoch: int, sizes: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Random crop, flips, turn, blur and jitter: [B, K, H, W], [B, 2] -> float32 [B, C, S, S], [B, 2].

        `sizes` [B, 2] says how far down and across each patch goes, where that is not [H, W]. Places and ids may lie on
        the CPU while the pixels lie elsewhere: the draws and the jitter are made where they are.

        Raises:
            ValueError: the patches are smaller than `image_size`, or ids or bands are missing.
        """
        self._check(raw, sizes)
        if not len(raw) == len(lonlat) == len(ids):
            raise ValueError(f"{len(raw)} patches, {len(lonlat)} places and {len(ids)} ids are no batch")

        draws = uniform(seed, epoch, torch.arange(PURPOSES, device=ids.device)[:, None], ids)
        suits = raw.device.type == "cpu" and not self.rotate and self.image_size > 1
        compiled = _kernel() if suits else None
        extent = _extent(raw, sizes)
        here = draws.to(raw.device)
        images = self._compiled(raw, here, extent, compiled) if compiled else self._gathered(raw, here, extent)
        return images, jitter(lonlat, 2 * draws[[EAST, NORTH]].T - 1, self.jitter_degrees)

    def validation(self, raw: Tensor, sizes: Tensor | None = None) -> Tensor:
        """The centre crop: [B, K, H, W] -> float32 [B, C, S, S]; `sizes` as for `train`.

        Raises:
            ValueError: the patches are smaller than `image_size`.
        """
        self._check(raw, sizes)
        images = self._room(raw)
        if sizes is not None:
            for number, (height, width) in enumerate(sizes.tolist()):
                images[number] = self.validation(raw[number : number + 1, :, :height, :width])[0]
            return images
        top, left = (raw.shape[-2] - self.image_size) // 2, (raw.shape[-1] - self.image_size) // 2
        for place, band in enumerate(self.places):
            inside = raw[:, band, top : top + self.image_size, left : left + self.image_size]
            images[:, place] = 0.0 if band == ABSENT else inside
        return images.div_(self.scale)

    def _gathered(self, raw: Tensor, draws: Tensor, extent: Sequence[Tensor | int]) -> Tensor:
        """The pixels of a training batch, float32 [B, C, S, S], by torch: on any device."""
        source = self._source(raw, draws, extent)
        beside = self._beside(draws[BLUR])
        images = self._room(raw)
        step = max(1, MOST_PIXELS.get(raw.device.type, MOST_PIXELS["others"]) // raw[0].numel())
        for first in range(0, len(raw), step):
            some = slice(first, first + step)
            pixels = _pick(raw[some], source[some]).to(torch.float32)
            if self.blur_sigma is not None:
                pixels = smooth(smooth(pixels, beside[some], -2), beside[some], -1)
            total = self._total(beside[some, 0])
            for place, band in enumerate(self.places):
                if band == ABSENT:
                    images[some, place] = 0.0
                else:
                    torch.div(pixels[:, band], total, out=images[some, place])
        return images

    def _compiled(
        self, raw: Tensor, draws: Tensor, extent: Sequence[Tensor | int], kernel: Callable[..., None]
    ) -> Tensor:
        """The same, bit for bit, in one pass over the pixels: on a processor, without turns."""
        flips = [
            draws[purpose] >= 0.5 if self.flips else torch.zeros(len(raw), dtype=torch.bool)
            for purpose in (FLIP_ROWS, FLIP_COLUMNS)
        ]
        top, left = self._corner(draws, extent)
        beside = self._beside(draws[BLUR]).flatten().to(torch.float32)
        images = self._room(raw)
        given = (raw, torch.tensor(self.places), top, left, *flips, beside, self._total(beside), images)
        kernel(*(tensor.numpy() for tensor in given))
        return images

    def _room(self, raw: Tensor) -> Tensor:
        """Memory for the finished images, float32 [B, C, S, S]."""
        shape = (len(raw), len(self.places), self.image_size, self.image_size)
        return batch_memory(shape, np.float32) if raw.device.type == "cpu" else torch.empty(shape, device=raw.device)

    def _source(self, raw: Tensor, draws: Tensor, extent: Sequence[Tensor | int]) -> Tensor:
        """Where in the patch each pixel of the crop lies, [B, S, S]; with a rim of one pixel if there is a blur."""
        size, rim = self.image_size, 0 if self.blur_sigma is None else 1
        top, left = (corner[:, None, None] for corner in self._corner(draws, extent))
        pixels = torch.arange(-rim, size + rim, device=raw.device).abs()
        pixels = torch.where(pixels < size, pixels, 2 * (size - 1) - pixels)  # the rim mirrors what lies within
        down, across = pixels[None, :, None], pixels[None, None, :]
        if self.flips:
            down = torch.where(draws[FLIP_ROWS][:, None, None] < 0.5, down, size - 1 - down)
            across = torch.where(draws[FLIP_COLUMNS][:, None, None] < 0.5, across, size - 1 - across)
        if self.rotate:
            quarters = (draws[TURN] * 4).long()[:, None, None]
            down, across = torch.where(quarters % 2 == 0, down, across), torch.where(quarters % 2 == 0, across, down)
            across = torch.where((quarters == 1) | (quarters == 2), size - 1 - across, across)
            down = torch.where((quarters == 2) | (quarters == 3), size - 1 - down, down)
        return (top + down) * raw.shape[-1] + (left + across)

    def _beside(self, draw: Tensor) -> Tensor:
        """The Gaussian one pixel from its middle, where it is 1 in the middle: [B] -> [B, 1, 1, 1], 0 for no blur."""
        low, high = self.blur_sigma or (0.0, 0.0)
        return torch.exp(-0.5 / (low + (high - low) * draw).square())[:, None, None, None]

    def _corner(self, draws: Tensor, extent: Sequence[Tensor | int]) -> tuple[Tensor, Tensor]:
        """The first row and column of each crop, [B] and [B]."""
        rows, columns = (length - self.image_size + 1 for length in extent)
        return (draws[TOP] * rows).long(), (draws[LEFT] * columns).long()

    def _total(self, beside: Tensor) -> Tensor:
        """What nine pixels, added up with their weights, are divided by."""
        return self.scale * (1 + 2 * beside) ** 2

    def _check(self, raw: Tensor, sizes: Tensor | None) -> None:
        if max(self.places) >= raw.shape[1]:
            raise ValueError(f"band {max(self.places)} is wanted of patches with {raw.shape[1]}")
        if min(raw.shape[-2:]) < self.image_size or (sizes is not None and bool((sizes < self.image_size).any())):
            raise ValueError(
                f"patches of {raw.shape[-2]} x {raw.shape[-1]} pixels cannot be cropped to dataset.image_size="
                f"{self.image_size}; give dataset.image_size={min(raw.shape[-2:])} or less"
            )


def _extent(raw: Tensor, sizes: Tensor | None) -> Sequence[Tensor | int]:
    """How far down and across the patches go: one number each, or [B] each."""
    return raw.shape[-2:] if sizes is None else sizes.to(raw.device).unbind(-1)


def _kernel() -> Callable[..., None] | None:
    """The compiled loop; None without a numba that works here."""
    kernels = optional("satclip.data.batches.augment_kernel")
    return None if kernels is None else kernels.crop_flip_blur


def _pick(raw: Tensor, source: Tensor) -> Tensor:
    """The pixels at flat positions `source` [B, S, S] of every band, [B, K, H, W] -> [B, K, S, S]."""
    plain = raw.view(torch.int16) if raw.dtype == torch.uint16 else raw
    positions = source.flatten(1)[:, None].expand(-1, raw.shape[1], -1)
    picked = plain.flatten(2).gather(2, positions).view(*raw.shape[:2], *source.shape[1:])
    return picked.view(raw.dtype)


def smooth(images: Tensor, beside: Tensor, axis: int) -> Tensor:
    """Each pixel plus `beside` times the sum of its two neighbours along an axis, which becomes shorter by the ends.

    Only sums and products: a fused multiply-add would round differently where work is cut up differently.
    """
    length = images.shape[axis] - 2
    sides = images.narrow(axis, 0, length) + images.narrow(axis, 2, length)
    return sides.mul_(beside).add_(images.narrow(axis, 1, length))


def jitter(lonlat: Tensor, step: Tensor, degrees: float) -> Tensor:
    """Move places by `step` (east, north) in [-1, 1] times `degrees`: [B, 2], [B, 2] -> [B, 2] in lonlat's dtype.

    A step east is as long in kilometres as one north, whatever the latitude: it counts 1 / cos(latitude) degrees, up to
    half a turn at the poles. Longitudes come back in [-180, 180), latitudes stop at the poles.
    """
    if degrees == 0:
        return lonlat
    longitude, latitude = lonlat.unbind(-1)
    east, north = (step.to(lonlat.dtype) * degrees).unbind(-1)
    ring = torch.deg2rad(latitude).cos().clamp_min(degrees / 180)
    return torch.stack((wrap_longitude(longitude + east / ring), (latitude + north).clamp(-90, 90)), -1)
