"""What is in a batch: as read from the files, and as the towers get it."""

from typing import NotRequired, TypedDict

from torch import Tensor

from satclip.data.batches.bad_patches import BadPatch


class Sizes(TypedDict, total=False):
    """How far down and across each patch goes, int64 [B, 2]; absent where all fill [H, W]."""

    size: Tensor


class RawBatch(TypedDict):
    """A batch as the loader gives it.

    Attributes:
        image: the files' own numbers, [B, K, H, W].
        lonlat: degrees, float64 [B, 2].
        id: row numbers, int64 [B].
        bad: the patches that could not be used.
        size: as in `Sizes`.
    """

    image: Tensor
    lonlat: Tensor
    id: Tensor
    bad: list[BadPatch]
    size: NotRequired[Tensor]


class Batch(TypedDict):
    """A batch as the towers and the loss get it; vectors of one's own for a loss lie beside these, by their names.

    Attributes:
        image: float32 [B, C, S, S], scaled, cropped, and in training augmented.
        features: float32 [B, K], in place of `image` where features were computed before (`satclip.data.features`).
        lonlat: degrees [B, 2], float64 where the device has it.
        id: row numbers, int64 [B].
        image_statistics: float32 [B, S], where they are asked for: see `PatchStatistics`.
    """

    image: NotRequired[Tensor]
    features: NotRequired[Tensor]
    lonlat: Tensor
    id: Tensor
    image_statistics: NotRequired[Tensor]
