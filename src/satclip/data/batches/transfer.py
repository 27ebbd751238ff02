"""A raw batch on its way to the device that trains: to one with float64, and to Apple's MPS, which has none."""

from typing import Any

import torch
from torch import Tensor

from satclip.data.batches.batch_memory import Batch
from satclip.sphere import angle_dtype

STAYS = ("lonlat", "id", "size")  # where a device lacks float64: they are few, and are worked on in float64 first


def is_narrow(device: torch.device) -> bool:
    """Whether a device has no float64 (nor uint16)."""
    return angle_dtype(device) == torch.float32


def to_narrow(batch: Batch, device: torch.device) -> Batch:
    """The batch with its pixels on such a device, as float32, in which 16 bits are exact; places and ids stay."""
    moved: dict[str, Any] = {}
    for name, value in batch.items():
        if not isinstance(value, Tensor) or name in STAYS:
            moved[name] = value
        else:
            moved[name] = value.to(torch.float32 if name == "image" else value.dtype).to(device)
    return moved


def settled(batch: Batch, device: torch.device) -> Batch:
    """The finished batch with all its tensors on the device, places in the widest float that it has."""
    places = {"lonlat": batch["lonlat"].to(device=device, dtype=angle_dtype(device)), "id": batch["id"].to(device)}
    return {**batch, **places} if is_narrow(device) else batch
