"""Embed many places with any location encoder."""

from itertools import chain

import torch
from torch import Tensor, nn

from satclip.sphere import angle_dtype


@torch.no_grad()
def embed(encoder: nn.Module, lonlat: Tensor, *, batch_size: int = 8192) -> Tensor:
    """Embeddings of places given in degrees, on the CPU: [N, 2] -> [N, D], in the encoder's own dtype.

    The encoder runs in evaluation mode, on the device where its weights lie, and is left in the mode it came in.
    """
    anchor = next(chain(encoder.parameters(), encoder.buffers()), None)
    device = torch.device("cpu") if anchor is None else anchor.device
    was_training = encoder.training
    encoder.eval()
    try:
        parts = [encoder(part.to(device, angle_dtype(device))).cpu() for part in torch.split(lonlat, batch_size)]
    finally:
        encoder.train(was_training)
    return torch.cat(parts)
