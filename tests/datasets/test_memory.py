"""Memory that one batch after another lies in."""

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from satclip.data import memory
from satclip.data.memory import PIECES, batch_memory

SHAPE = (3, 5, 64, 64)


@pytest.fixture(autouse=True)
def _none_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_spare", {})


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_tensor_lies_where_one_of_its_size_lay_that_nobody_holds(dtype: str) -> None:
    first = batch_memory(SHAPE, dtype)
    assert first.shape == SHAPE
    assert first.dtype == getattr(torch, dtype)
    place = first.data_ptr()
    del first
    assert batch_memory(SHAPE, dtype).data_ptr() == place


def test_what_is_cut_out_of_a_batch_keeps_its_memory() -> None:
    batch = batch_memory(SHAPE, "float32").fill_(7)
    row, pixels = batch[1, 2], batch[0].numpy()
    del batch
    for _ in range(3):
        batch_memory(SHAPE, "float32").fill_(9)
    assert row.eq(7).all()
    assert (pixels == 7).all()


def test_what_a_gradient_needs_is_kept() -> None:
    weight = torch.ones((), requires_grad=True)
    batch = batch_memory(SHAPE, "float32").fill_(2)
    loss = (batch * weight).sum()
    del batch
    batch_memory(SHAPE, "float32").fill_(9)
    (gradient,) = torch.autograd.grad(loss, weight)
    assert gradient == 2 * torch.Size(SHAPE).numel()


def test_a_batch_of_another_size_lies_elsewhere() -> None:
    whole = batch_memory(SHAPE, "uint16")
    place = whole.data_ptr()
    del whole
    part = batch_memory((2, *SHAPE[1:]), "uint16")
    again = batch_memory(SHAPE, "uint16")
    assert part.data_ptr() != place
    assert again.data_ptr() == place


def test_only_a_few_pieces_are_kept() -> None:
    for count in range(1, 20):
        batch_memory((count, 100), "uint8")
    assert [piece.nbytes for piece in memory._spare.values()] == [100 * count for count in range(20 - PIECES, 20)]


def test_a_batch_of_no_patches() -> None:
    assert batch_memory((0, 5, 64, 64), "uint16").shape == (0, 5, 64, 64)


class _Batches(Dataset[torch.Tensor]):
    def __len__(self) -> int:
        return 6

    def __getitem__(self, number: int) -> torch.Tensor:
        batch = batch_memory(SHAPE, "uint16")
        assert batch.untyped_storage().is_shared()  # else the worker would copy it
        batch.numpy().fill(number)
        return batch


def test_a_worker_hands_its_batches_over_in_shared_memory() -> None:
    loader = DataLoader(_Batches(), batch_size=None, num_workers=2)
    kept = list(loader)
    assert [set(batch.flatten().tolist()) for batch in kept] == [{number} for number in range(6)]
