"""A raw batch on its way to the device that trains: to one with float64, and to Apple's MPS, which has none."""

import torch

from satclip.data.batches.batch import Batch, RawBatch
from satclip.sphere import angle_dtype


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


def settled(batch: Batch, device: torch.device) -> Batch:
    """The finished batch with all its tensors on the device, places in the widest float that it has."""
    if not is_narrow(device):
        return batch
    lonlat = batch["lonlat"].to(device=device, dtype=angle_dtype(device))
    return {"image": batch["image"], "lonlat": lonlat, "id": batch["id"].to(device)}
