"""What an encoder takes: tensors of places, and which of their rows are none."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from satclip.location.capture import tracing
from satclip.location.encodings.protocol import Encoding, wide_degrees

_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_TAKEN = frozenset((torch.float64, torch.float32, *_WHOLE))


def check_tensor(lonlat: Tensor) -> None:
    """Refuse what is no dense tensor [B, 2] of degrees in float64, float32 or whole numbers.

    Raises:
        TypeError: it is no tensor, or of another kind. float16 and bfloat16 move a place by up to half a degree.
        ValueError: it is of another shape.
    """
    if not isinstance(lonlat, Tensor):
        raise TypeError(
            f"lonlat must be a tensor [B, 2] of degrees, longitude first, got {type(lonlat).__name__}; encoder.embed "
            "takes arrays, lists and data frames, `satclip export` writes an encoder for other programs"
        )
    if lonlat.is_nested or lonlat.layout != torch.strided:
        kind = "a nested one" if lonlat.is_nested else str(lonlat.layout)
        raise TypeError(f"lonlat must be one dense tensor [B, 2], got {kind}; sparse ones have .to_dense()")
    if lonlat.dtype not in _TAKEN:
        why = ": that rounds a place by up to half a degree" if lonlat.dtype in (torch.float16, torch.bfloat16) else ""
        raise TypeError(f"lonlat must be degrees in float64 or float32, got {lonlat.dtype}{why}")
    with _quiet():
        if lonlat.ndim != 2 or lonlat.shape[1] != 2:
            shape = [int(size) for size in lonlat.shape]
            raise ValueError(f"lonlat must be [B, 2], longitude first, got {shape}; reshape to (-1, 2)")


def check_axes(lons: Tensor, lats: Tensor) -> None:
    """Refuse the axes [C] and [R] of a grid that leaves the Earth.

    Raises:
        TypeError: they are neither float64, float32 nor whole numbers.
        ValueError: NaN, infinite or beyond a pole.
    """
    for axis in (lons, lats):
        check_tensor(axis.detach()[:, None].expand(-1, 2))
    if not lons.isfinite().all() or not (lats.double() if lats.device.type != "mps" else lats).abs().le(90).all():
        low, high = lats.min().item(), lats.max().item()
        raise ValueError(
            f"latitudes must lie in -90..90 and longitudes be finite, without NaN; got latitudes from {low:g} to "
            f"{high:g}: are lons and lats exchanged?"
        )


def no_place(lonlat: Tensor) -> Tensor:
    """Mark what has no embedding: NaN or infinite, or beyond 90 degrees of latitude. [B, 2] -> bool [B]."""
    longitude, latitude = wide_degrees(lonlat).unbind(-1)
    return ~((latitude.abs() <= 90) & (longitude.abs() < math.inf))


def block_rows(encoding: Encoding, device: torch.device) -> int:
    """Places of a block: few enough to be cheap to hold, enough to be worth waking threads for."""
    held = max(encoding.dim, getattr(encoding, "working_dim", 0))
    if device.type == "cpu":
        return min(max(2**23 // held, 512), 4096)
    return min(max(2**25 // held, 2048), 65536)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a tracer's warning: the last axis is two whatever is traced."""
    if not tracing():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def in_blocks(encode: Callable[[Tensor], Tensor], lonlat: Tensor, rows: int) -> Tensor:
    """`encode` on `rows` places at a time, written into one result: [N, 2] -> [N, D]."""
    first = encode(lonlat[:rows])
    if len(lonlat) <= rows:
        return first
    embeddings = first.new_empty(len(lonlat), *first.shape[1:])
    embeddings[:rows] = first
    for start in range(rows, len(lonlat), rows):
        embeddings[start : start + rows] = encode(lonlat[start : start + rows])
    return embeddings
