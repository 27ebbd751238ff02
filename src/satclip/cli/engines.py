"""The embedding of a table, piece by piece, in this process."""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import DTypeLike, NDArray
from torch import nn

from satclip.cli.tables.places import Degrees, Places
from satclip.embedding import embed
from satclip.sphere import bad_lonlat

Bad = Literal["stop", "nan", "drop"]
Piece = tuple[pa.RecordBatch, NDArray[Any]]


def embed_here(places: Places, encoder: nn.Module, *, bad: Bad, batch_size: int, dtype: DTypeLike) -> Iterator[Piece]:
    """Rows and their embeddings [n, D], in the order of the table."""
    for rows, lonlat in places.pieces():
        yield embed_piece(rows, lonlat, encoder, bad=bad, batch_size=batch_size, dtype=dtype)


def embed_piece(
    rows: pa.RecordBatch,
    lonlat: Degrees,
    encoder: nn.Module,
    *,
    bad: Bad,
    batch_size: int,
    dtype: DTypeLike,
) -> Piece:
    """Embed one piece: bad rows are left out with `bad` drop, and NaN otherwise."""
    degrees = torch.from_numpy(lonlat)
    good = ~bad_lonlat(degrees)
    numbers = embed(encoder, degrees[good], batch_size=batch_size).numpy().astype(dtype, copy=False)
    if good.all():
        return rows, numbers
    kept = good.numpy()
    if bad == "drop":
        return rows.filter(pa.array(kept)), numbers
    filled = np.full((len(kept), numbers.shape[1]), np.nan, dtype)
    filled[kept] = numbers
    return rows, filled
