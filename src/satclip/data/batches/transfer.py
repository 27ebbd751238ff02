"""A raw batch on its way to the device that trains: to one with float64, and to Apple's MPS, which has none."""

from typing import Any, cast

import torch
from torch import Tensor

from satclip.data.batches.batch import Batch, RawBatch
from satclip.sphere import angle_dtype

RAW = RawBatch.__annotations__.keys()


def is_narrow(device: torch.device) -> bool:
    """Whether a device has no float64 (nor uint16)."""
    return angle_dtype(device) == torch.float32


def to_narrow(batch: RawBatch, device: torch.device) -> RawBatch:
    """The batch with its pixels on such a device, as float32, in which 16 bits are exact.

    Places, ids and sizes stay on the CPU: they are few, and are worked on in float64 first.
    """
    moved = batch.copy()
    moved["image"] = batch["image"].to(torch.float32).to(device)
    return moved


def finished(raw: RawBatch, images: Tensor, lonlat: Tensor, statistics: Tensor | None) -> Batch:
    """The batch that the towers and the loss get, all of it on the images' device.

    What lies in the raw batch beside what this package puts there (a teacher's vectors, say) goes with it.
    """
    batch: dict[str, Any] = {name: value for name, value in raw.items() if name not in RAW}
    batch |= {"image": images, "lonlat": lonlat, "id": raw["id"]}
    if statistics is not None:
        batch["image_statistics"] = statistics
    return settled(cast(Batch, batch), images.device)


def settled(batch: Batch, device: torch.device) -> Batch:
    """The finished batch with all its tensors on the device, floats in the widest kind that it has."""
    if not is_narrow(device):
        return batch
    moved: dict[str, Any] = {}
    for name, value in batch.items():
        wide = isinstance(value, Tensor) and value.dtype == torch.float64
        moved[name] = (
            value.to(device=device, dtype=angle_dtype(device) if wide else value.dtype)
            if isinstance(value, Tensor)
            else value
        )
    return cast(Batch, moved)
