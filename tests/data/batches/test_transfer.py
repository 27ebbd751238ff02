"""Training on a device without float64 and uint16, as Apple's MPS: nothing of either is ever sent there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from satclip.data.batches import transfer
from satclip.data.datamodule import S2DataModule
from satclip.sphere import angle_dtype

MakeShards = Callable[..., Path]
BANDS = ["a", "b", "c"]
NEVER = {torch.float64, torch.uint16}


class Narrow(TorchDispatchMode):
    """Refuses what MPS refuses, on the device `meta` in its place."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_flatten((args, kwargs, out))[0]:
            if isinstance(tensor, Tensor) and tensor.device.type == "meta" and tensor.dtype in NEVER:
                raise TypeError(f"{func}: {tensor.dtype} on a device that has none")
        return out


def module(root: Path, **options: Any) -> S2DataModule:
    defaults = {"image_size": 4, "batch_size": 6, "num_workers": 0, "split": "random", "rotate": True}
    data = S2DataModule(root, bands=BANDS, file_bands=BANDS, **{**defaults, **options})
    data.setup()
    return data


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def narrow(kind: str) -> None:
        monkeypatch.setattr(
            transfer, "angle_dtype", lambda device: torch.float32 if device.type == kind else angle_dtype(device)
        )

    return narrow


@pytest.mark.parametrize("epoch", [0, None])
def test_no_float64_and_no_uint16_reach_a_device_without_them(
    make_shards: MakeShards, pretend: Callable[[str], None], epoch: int | None
) -> None:
    pretend("meta")
    data, device = module(make_shards((9, 11))), torch.device("meta")
    batch = next(iter(data.train_dataloader()))
    batch.pop("bad")
    assert batch["lonlat"].dtype == torch.float64
    with Narrow():
        moved = data.transfer_batch_to_device(batch, device, 0)
        done = data.transform(moved, epoch)
    assert {name: (value.device.type, value.dtype) for name, value in done.items()} == {
        "image": ("meta", torch.float32),
        "lonlat": ("meta", torch.float32),
        "id": ("meta", torch.int64),
    }


def test_without_float64_the_numbers_are_the_same_to_their_rounding(
    make_shards: MakeShards, pretend: Callable[[str], None]
) -> None:
    data, device = module(make_shards((9, 11)), scale=1.0), torch.device("cpu")
    batches = [next(iter(data.train_dataloader())) for _ in range(2)]
    for batch in batches:
        batch.pop("bad")
    wide = data.transform(data.transfer_batch_to_device(batches[0], device, 0), 3)
    pretend("cpu")
    narrow = data.transform(data.transfer_batch_to_device(batches[1], device, 0), 3)
    assert torch.equal(wide["image"], narrow["image"])
    assert torch.equal(wide["id"], narrow["id"])
    assert narrow["lonlat"].dtype == torch.float32
    assert torch.equal(narrow["lonlat"], wide["lonlat"].float())


def test_a_device_with_float64_gets_it(make_shards: MakeShards) -> None:
    data = module(make_shards((9, 11)))
    batch = next(iter(data.train_dataloader()))
    moved = data.transfer_batch_to_device(batch, torch.device("meta"), 0)
    assert (moved["lonlat"].device.type, moved["lonlat"].dtype) == ("meta", torch.float64)
    assert moved["image"].dtype == torch.uint16
