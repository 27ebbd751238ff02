"""What an encoder has seen of the places it is tested on."""

from dataclasses import dataclass

import torch
from torch import Tensor

from satclip.sphere import block_ids

UNKNOWN, UNSEEN, SEEN = "unknown", "unseen blocks", "seen in training"


@dataclass(frozen=True)
class Seen:
    """The places whose imagery an encoder was trained on, as the data of its run has them.

    Attributes:
        lonlat: degrees, float64 [N, 2].
        split_degrees: side of the blocks that the data was split by, or would be.
    """

    lonlat: Tensor
    split_degrees: float

    def of(self, places: Tensor) -> str:
        """In words, whether the blocks that hold some places had imagery in the training: degrees [M, 2]."""
        known = torch.isin(block_ids(places, self.split_degrees), block_ids(self.lonlat, self.split_degrees))
        if not known.any():
            return UNSEEN
        return SEEN if known.all() else f"{100 * float(known.double().mean()):.0f} % seen"
