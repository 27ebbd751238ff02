"""Memory for blocks of rows of the similarity matrix: the first ones stay for a second pass, the others make way."""

import numpy as np
import torch
from torch import Tensor

KEPT_BYTES = 2**28  # 8,192 x 8,192 in float32: all of the published batch
_NUMPY_FLOATS = {torch.float32: np.float32, torch.float64: np.float64}


class BlockMemory:
    """Gives memory for one block after another; up to `KEPT_BYTES` of them are kept.

    What is computed twice costs a matrix product and an exponential the second time, reading it again a fiftieth of
    that. The bound does not grow with the batch, so neither does what is kept.

    Args:
        like: whose type and device the blocks have.
        chunk: rows of the largest block.
        width: columns.
        keep: false where there is no second pass.
    """

    def __init__(self, like: Tensor, chunk: int, width: int, *, keep: bool) -> None:
        self._like, self._chunk, self._width = like, chunk, width
        self._room = KEPT_BYTES // (width * like.element_size()) if keep else 0
        self._scratch: Tensor | None = None
        self.kept: list[Tensor] = []  # the first blocks, in order

    def block(self, rows: slice) -> Tensor:
        """Memory of any content for these rows, [rows, N]; where it is not kept the next block overwrites it."""
        size = rows.stop - rows.start
        if rows.stop <= self._room:
            self.kept.append(self._empty(size))
            return self.kept[-1]
        if self._scratch is None:
            self._scratch = self._empty(self._chunk)
        return self._scratch[:size]

    def _empty(self, rows: int) -> Tensor:
        """On a CPU by way of numpy, which asks Linux for huge pages: touching others first takes four times as long."""
        like = self._like
        if like.device.type == "cpu" and like.dtype in _NUMPY_FLOATS:
            return torch.from_numpy(np.empty((rows, self._width), _NUMPY_FLOATS[like.dtype]))
        return like.new_empty(rows, self._width)
