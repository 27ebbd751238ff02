"""Embed many places with any location encoder."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn

from satclip.sphere import angle_dtype


@torch.no_grad()
def embed(encoder: nn.Module, lonlat: Tensor, *, batch_size: int = 8192) -> Tensor:
    """Embeddings of places given in degrees, on the CPU: [N, 2] -> [N, D], in the encoder's own dtype.

    The encoder runs in evaluation mode, on the device where its weights lie, and every module of it is left in the mode
    it came in.

    Raises:
        ValueError: `batch_size` is less than one.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    anchor = next(chain(encoder.parameters(), encoder.buffers()), None)
    device = torch.device("cpu") if anchor is None else anchor.device
    with evaluating(encoder):
        parts = [encoder(part.to(device, angle_dtype(device))).cpu() for part in torch.split(lonlat, batch_size)]
    return torch.cat(parts)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode while the block lasts, then each submodule's own mode again: a frozen part may differ."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
