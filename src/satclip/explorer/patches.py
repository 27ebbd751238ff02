"""The training patches whose pictures are nearest to each cell, out of a store."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from satclip.index.store import Store

NEAREST = 5
_ROWS = 512  # cells compared at a time: 80 MB for a store of 40,000


@dataclass(frozen=True)
class NearestPatches:
    """For each cell, the patches with the highest cosine between its embedding and theirs.

    Attributes:
        lonlat: of the patches that are named, degrees, float32 [P, 2].
        rows: numbers among those, best first, uint32 [N, K].
        cosines: float32 [N, K].
        searched: patches of the store.
    """

    lonlat: NDArray[np.float32]
    rows: NDArray[np.uint32]
    cosines: NDArray[np.float32]
    searched: int


def nearest_patches(embeddings: Tensor, store: Store) -> NearestPatches:
    """The nearest patches for embeddings [N, D] of the encoder that the store was built for.

    Raises:
        ValueError: the store holds no patch.
    """
    if not len(store):
        raise ValueError(f"{store.folder} holds no patch; build it of a data set that has training patches")
    keys = F.normalize(torch.from_numpy(np.array(store.keys, np.float32)), dim=-1)
    queries = F.normalize(embeddings.float(), dim=-1)
    found = [torch.topk(part @ keys.T, min(NEAREST, len(keys))) for part in torch.split(queries, _ROWS)]
    named, rows = np.unique(torch.cat([each.indices for each in found]).numpy(), return_inverse=True)
    cosines = torch.cat([each.values for each in found]).numpy()
    places = np.asarray(store.lonlat)[named].astype(np.float32)
    return NearestPatches(places, rows.reshape(cosines.shape).astype(np.uint32), cosines, len(store))
