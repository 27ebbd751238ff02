"""Penalties that know the order of the columns: smooth harmonics first, coarse blocks first.

A penalty of alpha (1 + l) ** (2 beta) on the coefficients of degree l is the classical prior of a smooth function on
the sphere: beta derivatives are kept small (Wahba 1981, "Spline interpolation and smoothing on the sphere", SIAM J.
Sci. Stat. Comput. 2(1)). For nested embeddings, alpha beta ** block is the chunked penalty of MIND (arXiv 2609.25454).
"""

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Places

DEGREE_BETAS = (0.0, 1.0, 2.0, 3.0)
BLOCK_BETAS = (1.0, 3.0, 10.0, 100.0, 1000.0)


def degree_penalty(degrees: NDArray[np.int64], beta: float) -> Array:
    """Relative penalty of each column of harmonics of these degrees, [D]."""
    return np.asarray((1.0 + degrees) ** (2 * beta), dtype=np.float64)


def block_penalty(widths: tuple[int, ...], beta: float) -> Array:
    """Relative penalty of each column of an embedding whose first `widths[k]` numbers are themselves an embedding, [D].

    Raises:
        ValueError: when the widths do not ascend.
    """
    if list(widths) != sorted(set(widths)) or not widths or widths[0] < 1:
        raise ValueError(f"nested widths must ascend from 1 or more, got {widths}")
    block = np.searchsorted(widths, np.arange(widths[-1]), side="right")
    penalty: Array = beta ** block.astype(np.float64)
    return penalty


def penalties_of(encoder: Places, dim: int) -> dict[float, Array | None]:
    """The penalties to choose among, by beta; the plain one, None, is always there.

    Raises:
        ValueError: when the encoder tells degrees or blocks of another width than its vectors have.
    """
    degrees: NDArray[np.int64] | None = getattr(encoder, "degrees", None)
    blocks: tuple[int, ...] | None = getattr(encoder, "blocks", None)
    if degrees is None and blocks is None:
        return {0.0: None}
    told = len(degrees) if degrees is not None else (blocks or (0,))[-1]
    if told != dim:
        raise ValueError(f"{encoder.name}: degrees or blocks are told for {told} columns, its vectors have {dim}")
    if degrees is not None:
        return {beta: degree_penalty(degrees, beta) if beta else None for beta in DEGREE_BETAS}
    return {beta: block_penalty(blocks or (), beta) if beta != 1 else None for beta in BLOCK_BETAS}
