"""From raw patches to what the towers see, a whole batch at a time, on whatever device the batch lies.

Every draw is a function of (seed, epoch, sample id), so it does not depend on batches, processes, workers or restarts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from satclip.data.bands import ABSENT
from satclip.data.hashing import uniform
from satclip.sphere import wrap_longitude

TOP, LEFT, FLIP_ROWS, FLIP_COLUMNS, TURN, BLUR, EAST, NORTH = range(8)


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training batch; validation gets the centre crop, the bands and the scale only.

    Attributes:
        positions: where each wanted band lies in the file, `ABSENT` for one to be filled with zeros.
        image_size: pixels of the crop, both ways.
        scale: raw values are divided by it.
        flips: mirror at random, both ways.
        rotate: turn by a random multiple of 90 degrees.
        blur_sigma: bounds of the standard deviation, in pixels, of a 3x3 Gaussian blur; None for no blur.
        jitter_degrees: places move by up to so many degrees of latitude each way, and as many kilometres east or west.
    """

    positions: Sequence[int]
    image_size: int
    scale: float
    flips: bool = True
    rotate: bool = False
    blur_sigma: Sequence[float] | None = (0.1, 2.0)
    jitter_degrees: float = 0.005

    def train(self, raw: Tensor, lonlat: Tensor, ids: Tensor, *, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
        """Random crop, flips, turn, blur and jitter: uint [B, K, H, W], [B, 2] -> float32 [B, C, S, S], [B, 2].

        Raises:
            ValueError: the patches are smaller than `image_size`.
        """
        self._check(raw)

        def draw(purpose: int) -> Tensor:
            return uniform(seed, epoch, purpose, ids)

        top = (draw(TOP) * (raw.shape[-2] - self.image_size + 1)).long()
        left = (draw(LEFT) * (raw.shape[-1] - self.image_size + 1)).long()
        pixels = torch.arange(self.image_size, device=raw.device).expand(len(raw), -1)
        rows, columns = pixels, pixels
        if self.flips:
            rows = torch.where(draw(FLIP_ROWS)[:, None] < 0.5, rows, self.image_size - 1 - rows)
            columns = torch.where(draw(FLIP_COLUMNS)[:, None] < 0.5, columns, self.image_size - 1 - columns)
        square = (-1, self.image_size, self.image_size)
        down, across = rows[:, :, None].expand(square), columns[:, None, :].expand(square)
        if self.rotate:
            quarters = (draw(TURN) * 4).long()[:, None, None]
            down, across = torch.where(quarters % 2 == 0, down, across), torch.where(quarters % 2 == 0, across, down)
            across = torch.where((quarters == 1) | (quarters == 2), self.image_size - 1 - across, across)
            down = torch.where((quarters == 2) | (quarters == 3), self.image_size - 1 - down, down)
        source = (top[:, None, None] + down) * raw.shape[-1] + left[:, None, None] + across
        images = self._bands(_pick(raw, source))
        if self.blur_sigma is not None:
            low, high = self.blur_sigma
            images = blur(images, low + (high - low) * draw(BLUR))
        return images, jitter(lonlat, 2 * torch.stack((draw(EAST), draw(NORTH)), -1) - 1, self.jitter_degrees)

    def validation(self, raw: Tensor) -> Tensor:
        """The centre crop: uint [B, K, H, W] -> float32 [B, C, S, S].

        Raises:
            ValueError: the patches are smaller than `image_size`.
        """
        self._check(raw)
        top, left = (raw.shape[-2] - self.image_size) // 2, (raw.shape[-1] - self.image_size) // 2
        return self._bands(raw[..., top : top + self.image_size, left : left + self.image_size])

    def _bands(self, raw: Tensor) -> Tensor:
        """Wanted bands in their order, divided by `scale`; absent ones are zero."""
        if list(self.positions) == list(range(raw.shape[1])):
            return raw.to(torch.float32) / self.scale
        images = torch.zeros((len(raw), len(self.positions), *raw.shape[2:]), dtype=torch.float32, device=raw.device)
        for band, position in enumerate(self.positions):
            if position != ABSENT:
                images[:, band] = raw[:, position]
        return images.div_(self.scale)

    def _check(self, raw: Tensor) -> None:
        if min(raw.shape[-2:]) < self.image_size:
            raise ValueError(
                f"patches of {raw.shape[-2]} x {raw.shape[-1]} pixels cannot be cropped to dataset.image_size="
                f"{self.image_size}; give dataset.image_size={min(raw.shape[-2:])} or less"
            )


def _pick(raw: Tensor, source: Tensor) -> Tensor:
    """The pixels at flat positions `source` [B, S, S] of every band, [B, K, H, W] -> [B, K, S, S]."""
    # torch gathers no uint16; as int16 the bits are the same.
    plain = raw.view(torch.int16) if raw.dtype == torch.uint16 else raw
    positions = source.flatten(1)[:, None].expand(-1, raw.shape[1], -1)
    picked = plain.flatten(2).gather(2, positions).view(*raw.shape[:2], *source.shape[1:])
    return picked.view(raw.dtype)


def blur(images: Tensor, sigma: Tensor) -> Tensor:
    """3x3 Gaussian blur with one sigma [B] in pixels per image, edges mirrored: [B, C, H, W] -> [B, C, H, W]."""
    beside = torch.exp(-0.5 / sigma.square())
    beside = (beside / (1 + 2 * beside)).to(images.dtype)[:, None, None, None]
    for axis in (-2, -1):
        padded = F.pad(images, (0, 0, 1, 1) if axis == -2 else (1, 1, 0, 0), mode="reflect")
        length = images.shape[axis]
        sides = padded.narrow(axis, 0, length) + padded.narrow(axis, 2, length)
        images = images * (1 - 2 * beside) + sides * beside
    return images


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
