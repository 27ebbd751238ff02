from collections import Counter
from itertools import chain, pairwise

import pytest
import torch

from satclip.data.batches.order import TrainBatches, ValidationBatches, epoch_order, sizes_of

SIZES = (7, 30, 1, 12, 0, 25)  # 75 samples in unequal shards


def batches(epoch: int = 0, **options: int) -> list[list[int]]:
    rows = torch.arange(100, 175)
    sampler = TrainBatches(rows, SIZES, **{"batch_size": 12, "seed": 3, "window": 2, **options})
    sampler.set_epoch(epoch)
    assert len(sampler) == 6
    return list(sampler)


def test_an_epoch_is_a_permutation() -> None:
    for epoch in range(5):
        assert epoch_order(SIZES, seed=0, epoch=epoch, window=2).sort().values.tolist() == list(range(75))


def test_the_order_of_a_release_is_the_order_of_the_next() -> None:
    assert epoch_order((3, 4, 5), seed=0, epoch=0, window=2).tolist() == GOLDEN


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(epoch_order(SIZES, seed=s, epoch=e, window=2).tolist()) for s in range(4) for e in range(4)}
    assert len(orders) == 16


def test_samples_mix_across_shards_but_only_within_a_window() -> None:
    sizes = [10] * 8
    order = epoch_order(sizes, seed=0, epoch=0, window=2) // 10
    windows = order.view(4, 20)
    assert all(len(set(window.tolist())) == 2 for window in windows)
    changes = sum(a != b for a, b in pairwise(windows[0].tolist()))
    assert changes > 4  # one change would mean that one shard came after the other


def test_shards_meet_other_shards_in_the_next_epoch() -> None:
    def neighbours(epoch: int) -> set[frozenset[int]]:
        windows = (epoch_order([10] * 8, seed=0, epoch=epoch, window=2) // 10).view(4, 20)
        return {frozenset(window.tolist()) for window in windows}

    assert len(neighbours(0) | neighbours(1) | neighbours(2)) > 8


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 6, 12])
def test_the_parts_of_all_ranks_are_the_global_batch(world_size: int) -> None:
    whole = batches()
    parts = [batches(rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {len(part) for part in parts} == {6}
    assert [list(chain(*pieces)) for pieces in zip(*parts, strict=True)] == whole
    assert max(Counter(row for batch in whole for row in batch).values()) == 1


def test_what_is_left_over_differs_between_epochs() -> None:
    left = [frozenset(range(100, 175)) - {row for batch in batches(epoch) for row in batch} for epoch in range(20)]
    assert {len(rows) for rows in left} == {3}
    assert len(set(left)) > 15


def test_an_epoch_can_begin_at_any_batch_and_the_next_begins_at_its_first() -> None:
    sampler = TrainBatches(torch.arange(100, 175), SIZES, batch_size=12, seed=3, window=2, start=(1, 4))
    assert list(sampler) == batches(1)[4:]
    assert len(sampler) == 6
    sampler.set_epoch(2)
    assert list(sampler) == batches(2)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7, 29])
@pytest.mark.parametrize("batch_size", [1, 8, 29, 100])
def test_validation_sees_every_sample_once_in_as_many_batches_on_every_rank(world_size: int, batch_size: int) -> None:
    rows = torch.arange(40, 69)
    ranks = [
        list(ValidationBatches(rows, batch_size=batch_size, rank=r, world_size=world_size)) for r in range(world_size)
    ]
    assert len({len(rank) for rank in ranks}) == 1
    assert sorted(row for rank in ranks for batch in rank for row in batch) == rows.tolist()
    assert [len(batches) for batches in ranks] == [
        len(ValidationBatches(rows, batch_size=batch_size, world_size=world_size))
    ] * world_size
    for parts in zip(*ranks, strict=True):
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        assert min(map(len, parts)) > 0
        assert sum(map(len, parts)) <= batch_size or batch_size < 2 * world_size


def test_a_batch_larger_than_the_data_is_refused_with_one_that_fits() -> None:
    with pytest.raises(
        ValueError, match=r"batch_size=80 is larger than the 75 training samples; give dataset.batch_size=64"
    ):
        TrainBatches(torch.arange(75), SIZES, batch_size=80, seed=0)


def test_a_batch_that_does_not_divide_by_the_processes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"batch_size=10 .* all 4 processes .* nearest: 8"):
        TrainBatches(torch.arange(75), SIZES, batch_size=10, seed=0, world_size=4)


def test_fewer_validation_samples_than_processes_are_refused() -> None:
    with pytest.raises(ValueError, match="2 validation samples cannot be shared by 3 processes"):
        ValidationBatches(torch.arange(2), batch_size=8, world_size=3)


def test_rows_are_counted_by_shard() -> None:
    assert sizes_of(torch.tensor([0, 2, 3, 9]), [3, 0, 4, 3]) == [2, 0, 1, 1]


GOLDEN = [6, 9, 5, 7, 3, 4, 11, 8, 10, 0, 2, 1]
