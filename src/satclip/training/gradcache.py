"""Large batches on one device: all embeddings meet in one loss, but only one chunk's activations are ever alive."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def cached_outputs(
    encode: Callable[[Tensor, Tensor], tuple[Tensor, ...]],
    chunks: Iterable[tuple[Tensor, Tensor]],
    model: nn.Module,
) -> tuple[Tensor, ...]:
    """What `encode` gives for all chunks, one under the other: image and location embeddings [B, D], and more.

    Gradient caching (arXiv 2101.06983): the first pass keeps embeddings only; the loss sees them all, so every row of
    every chunk is a negative; its backward pass then encodes chunk after chunk again, each time with the gradient of
    its embeddings at hand. (Accumulating gradients over steps adds no negatives: each step has its own loss.) The
    gradients are those of the whole batch at the price of a second forward pass. Random draws inside `encode`, dropout
    and augmentation alike, repeat themselves, and batch norms note their statistics once. A batch norm in training mode
    normalises by its chunk, as it would by its device's rows on several devices.

    Nothing else changes: call `backward` on the loss as ever. Each parameter receives its gradient in one piece, after
    the last chunk, so DDP exchanges it once. A frozen backbone is run twice like the rest; cache its features instead.

    Args:
        encode: (images, lonlat) of one chunk -> tensors of one row a place.
        chunks: the parts of the batch, as `encode` takes them.
        model: owns the batch norms that `encode` passes through.

    Raises:
        ValueError: there is no chunk.
    """

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _statistics_kept(model)

    outputs: list[tuple[Tensor, ...]] = [
        checkpoint(encode, images, lonlat, use_reentrant=False, context_fn=contexts) for images, lonlat in chunks
    ]
    if not outputs:
        raise ValueError("no chunk to encode; cached_batches needs a batch with at least one row")
    return tuple(torch.cat(column) for column in zip(*outputs, strict=True))


@contextmanager
def _statistics_kept(model: nn.Module) -> Iterator[None]:
    """Run batch norms as they are, but let them note nothing."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.training]
    noted = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    seen = [None if tracked is None else tracked.clone() for _, tracked in noted]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, (momentum, tracked), count in zip(norms, noted, seen, strict=True):
            norm.momentum = momentum
            if tracked is not None and count is not None:
                tracked.copy_(count)
