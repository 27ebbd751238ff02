"""Memory that one batch after another lies in."""

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from satclip.data.batches import batch_memory as memory
from satclip.data.batches.batch_memory import PIECES, SPARE, SharedBuffers, batch_memory
from satclip.data.batches.loader import Loader

SHAPE = (3, 5, 64, 64)
COUNT = 40  # batches


@pytest.fixture(autouse=True)
def _none_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()  # what other tests have left in cycles would give its memory back in the middle of one of these
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
    assert [piece.nbytes for piece in memory._spare.values()] == [100 * count for count in range(20 - SPARE, 20)]


def test_a_batch_of_no_patches() -> None:
    assert batch_memory((0, 5, 64, 64), "uint16").shape == (0, 5, 64, 64)


class Batches(Dataset[dict[str, Any]]):
    """Batch n is filled with n, and says in which piece of its worker's it lay; None for one used only once."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, rows: list[int]) -> dict[str, Any]:
        images = batch_memory(SHAPE, "uint16")
        assert images.untyped_storage().is_shared()  # else the worker would copy it
        images.numpy().fill(rows[0])
        return {"image": images, "piece": memory._worker.number(images.untyped_storage())}


def loader(workers: int = 2) -> Loader:
    rows: Any = [[number] for number in range(COUNT)]
    return Loader(Batches(), rows, workers)


def is_filled(images: Tensor, number: int) -> bool:
    return images.shape == SHAPE and bool((images.numpy() == number).all())


def test_workers_write_where_earlier_batches_lay_that_nobody_holds() -> None:
    for number, batch in enumerate(loader()):
        assert is_filled(batch["image"], number)
        assert batch.keys() == {"image", "piece"}
        assert batch["piece"] in range(PIECES)


@pytest.mark.parametrize(
    "keep",
    [lambda images: images, lambda images: images[1:2, :, ::3], lambda images: images.numpy()],
    ids=["whole", "part", "numpy"],
)
def test_workers_leave_alone_what_is_held(keep: Callable[[Tensor], Any]) -> None:
    batches = [(keep(batch["image"]), batch["piece"]) for batch in loader()]
    assert all((np.asarray(part) == number).all() for number, (part, _) in enumerate(batches))
    assert sum(piece is not None for _, piece in batches) == 2 * PIECES


def test_what_is_held_over_a_break_stays_as_it_is() -> None:
    batches, kept = loader(), []
    for _ in range(3):
        for number, batch in enumerate(batches):
            assert is_filled(batch["image"], number)
            if number == 3:
                kept.append(batch["image"][2])
            if number == 6:  # others are on their way
                break
    for number, batch in enumerate(batches):
        assert is_filled(batch["image"], number)
    assert all((image.numpy() == 3).all() for image in kept)


def test_an_iteration_that_was_broken_off_leaves_no_memory_taken() -> None:
    batches = loader(workers=1)
    for _ in range(6):
        next(iter(batches))
    assert {batch["piece"] for batch in batches} <= set(range(PIECES))


def test_what_was_copied_out_of_shared_memory_is_free_at_once() -> None:
    returns = SharedBuffers(2)
    returns.busy[:] = True
    images = torch.ones(SHAPE)
    batch = returns.watch({"image": images, "memory": 5, "bad": []}, copied=True)
    assert batch == {"image": images, "bad": []}
    assert returns.busy.tolist() == [place != 5 for place in range(2 * PIECES)]


class OfPatches(Dataset[dict[str, Any]]):
    """Batches as those of patches, in whatever memory there is."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, rows: list[int]) -> dict[str, Any]:
        images = batch_memory(SHAPE, "uint16")
        images.numpy().fill(rows[0])
        shared = images.untyped_storage().is_shared()
        return {"image": images, "lonlat": torch.full((3, 2), float(rows[0])), "bad": [], "shared": shared}


@pytest.mark.parametrize(("pieces", "kept"), [(0, 0), (3, 3)], ids=["none", "three"])
def test_a_small_shared_memory_is_never_overdrawn_and_the_batches_come_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, pieces: int, kept: int
) -> None:
    size, crowd = 2 * torch.Size(SHAPE).numel(), 2
    taken = torch.zeros((), dtype=torch.int64).share_memory_()
    real = memory._Worker.take

    def counting(worker: Any, count: int) -> Any:
        before = [None if piece is None else piece.data_ptr() for piece in worker.pieces]
        found = real(worker, count)
        if found is not None and found.data_ptr() not in before:
            taken.add_(count)
        return found

    monkeypatch.setattr(memory._Worker, "take", counting)
    monkeypatch.setattr(memory, "shared_room", lambda: size * (pieces + crowd - 1) - int(taken))
    rows: Any = [[number] for number in range(COUNT)]
    held = []
    for number, batch in enumerate(Loader(OfPatches(), rows, 1)):
        assert is_filled(batch["image"], number)
        assert batch["lonlat"].eq(number).all()
        assert batch["bad"] == []
        held.append((batch["image"], batch["shared"]))
    assert sum(shared for _, shared in held) == kept
    assert all(is_filled(images, number) for number, (images, _) in enumerate(held))
    assert caplog.text.count("start the container with --shm-size=") == 1
    assert "1 workers with batches of 0.1 MB want" in caplog.text


def test_where_shared_memory_cannot_be_measured_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SHARED", "/nowhere/shm")
    assert memory.shared_room() == float("inf")
    assert all(batch["shared"] for batch, _ in zip(Loader(OfPatches(), [[0]] * 3, 1), range(3), strict=False))
