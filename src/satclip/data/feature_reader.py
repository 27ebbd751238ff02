"""Patches through a frozen backbone, shard by shard."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from satclip.data.batches.bad_patches import BadPatch
from satclip.data.batches.indexed import UsablePatches
from satclip.data.datamodule import S2DataModule
from satclip.data.features.parts import Part
from satclip.data.features.store import view_name


class FeatureReader:
    """Computes the features of rows, in batches that never go from one shard into the next.

    So the numbers of a shard are the same bytes whoever computes it, and after whatever.

    Args:
        data: the patches' data set, which crops and augments.
        usable: its patches.
        tower: in evaluation mode, on the device.
        device: computes.
        views: augmented ones of each patch, beside the centre crop.
        dtype: of the features.
    """

    def __init__(
        self,
        data: S2DataModule,
        usable: UsablePatches,
        tower: nn.Module,
        device: torch.device,
        *,
        views: int,
        dtype: torch.dtype,
    ) -> None:
        self.data, self.usable, self.device, self.dtype = data, usable, device, dtype
        self.tower: Any = tower
        self.views: list[int | None] = [None, *range(views)]

    def parts(self, shards: Sequence[Tensor], chunk: int, workers: int) -> Iterator[Part]:
        """The features of shards, one after the other."""
        cut = [[batch.tolist() for batch in torch.split(shard, chunk)] for shard in shards]
        loader = iter(self.usable.loader([batch for batches in cut for batch in batches], workers)) if cut else None
        for batches in cut:
            assert loader is not None
            rows: list[Tensor] = [torch.empty(0, dtype=torch.int64)]
            bad: list[BadPatch] = []
            found: dict[str, list[Tensor]] = {view_name(view): [] for view in self.views}
            for _ in batches:
                raw = next(loader)
                bad += raw["bad"]
                if len(raw["id"]):
                    rows.append(raw["id"])
                    for view in self.views:
                        found[view_name(view)].append(self._features(raw, view))
            empty = torch.empty(0, self._dim(), dtype=self.dtype)
            yield Part(torch.cat(rows), {name: torch.cat([empty, *each]) for name, each in found.items()}, bad)

    @torch.no_grad()
    def _features(self, raw: Any, view: int | None) -> Tensor:
        """One view of a batch: [B, K] in the store's floats, on the CPU.

        Raises:
            ValueError: they are no numbers there.
        """
        moved = self.data.transfer_batch_to_device(raw, self.device, 0)
        images = self.data.transform(moved, view)["image"]
        wide: Tensor = self.tower.features(images.float()).float()
        narrow = wide.to(self.dtype)
        if not narrow.isfinite().all():
            remedy = "the weights or the pixels are damaged" if not wide.isfinite().all() else "give dtype=bfloat16"
            names = [self.usable.source.names[row] for row in raw["id"][~narrow.isfinite().all(1).cpu()].tolist()]
            raise ValueError(f"features of {', '.join(names[:5])} are not finite as {self.dtype}: {remedy}")
        return narrow.cpu()

    def _dim(self) -> int:
        size = self.data.augmentation.image_size
        with torch.no_grad():
            one = torch.zeros(1, self.data.channels, size, size, device=self.device)
            return int(self.tower.features(one).shape[1])
