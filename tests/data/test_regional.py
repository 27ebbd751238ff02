"""Batches of neighbours: each place once, near each other, the same for any number of ranks and after a restart."""

from itertools import chain
from typing import Any

import pytest
import torch

from satclip.data.batches.order import TrainBatches
from satclip.data.batches.position import resumed
from satclip.data.batches.regional import ALL_AT_ONCE, SHARES, regional_order
from satclip.data.datamodule import S2DataModule
from satclip.sphere import great_circle_km, uniform_on_sphere

from .conftest import MakeShards
from .test_datamodule import module

PLACES = uniform_on_sphere(1000, torch.Generator().manual_seed(0))
BATCH = 48


def order(percent: int = 100, seed: int = 0, epoch: int = 0) -> torch.Tensor:
    return regional_order(PLACES, batch_size=BATCH, percent=percent, seed=seed, epoch=epoch)


def width_km(batches: torch.Tensor) -> float:
    """Mean distance of two places of a batch."""
    places = PLACES[batches]
    return great_circle_km(places[:, :, None], places[:, None]).mean().item()


@pytest.mark.parametrize("percent", [50, 100])
def test_no_place_comes_twice_and_others_are_left_out_in_the_next_epoch(percent: int) -> None:
    left = []
    for epoch in range(4):
        batches = order(percent, epoch=epoch)
        assert batches.shape == (1000 // BATCH, BATCH)
        assert batches.unique().numel() == batches.numel()
        left.append(frozenset(range(1000)) - frozenset(batches.flatten().tolist()))
    assert len(set(left)) == 4


def test_a_regional_batch_lies_together_and_a_mixed_one_half_so() -> None:
    anywhere, mixed, regional = width_km(order(0)), width_km(order(50)), width_km(order(100))
    assert anywhere == pytest.approx(10_000, rel=0.05)
    assert regional < 0.35 * anywhere  # a disc of a twentieth of the sphere: 0.26
    assert regional < mixed < anywhere

    def company(batches: torch.Tensor) -> float:
        """The share of places that have a quarter of their batch within 3,000 km."""
        places = PLACES[batches]
        near = great_circle_km(places[:, :, None], places[:, None]) < 3000
        return (near.sum(-1) >= BATCH // 4).float().mean().item()

    assert company(order(0)) < 0.05
    assert 0.35 < company(order(50)) < 0.65
    assert company(order(100)) > 0.9


def test_borders_move_and_the_order_follows_from_seed_and_epoch_alone() -> None:
    assert torch.equal(order(), order())
    groups = [
        {frozenset(batch.tolist()) for batch in order(epoch=epoch, seed=seed)}
        for epoch, seed in ((0, 0), (1, 0), (0, 1))
    ]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]


def test_a_batch_is_not_sorted_by_place_so_that_its_parts_are_alike() -> None:
    batches = order()
    halves = PLACES[batches].view(len(batches), 2, BATCH // 2, 2)[..., 1].mean(-1)
    whole = PLACES[batches][..., 1].std(-1)
    assert ((halves[:, 0] - halves[:, 1]).abs() < whole).float().mean() > 0.9


def test_places_at_one_point_and_too_few_for_a_batch_are_no_trouble() -> None:
    same = PLACES[:1].expand(20, 2)
    found = regional_order(same, batch_size=6, percent=100, seed=0, epoch=0)
    assert found.unique().numel() == 18
    assert regional_order(same, batch_size=30, percent=100, seed=0, epoch=0).shape == (0, 30)


@pytest.mark.parametrize("regional", [50, 100])
def test_the_parts_of_all_ranks_are_the_global_batch_and_a_restart_goes_on(regional: int) -> None:
    def batches(**options: Any) -> list[list[int]]:
        sizes, more = (1000,), {"batch_size": BATCH, "seed": 3, "lonlat": PLACES, "regional": regional}
        sampler = TrainBatches(torch.arange(500, 1500), sizes, **{**more, **options})
        sampler.set_epoch(2)
        return list(sampler)

    whole = batches()
    parts = [batches(rank=rank, world_size=3) for rank in range(3)]
    assert [list(chain(*pieces)) for pieces in zip(*parts, strict=True)] == whole
    assert batches(start=(2, 5)) == whole[5:]
    assert min(chain(*whole)) >= 500


def test_the_option_reaches_the_batches(make_shards: MakeShards) -> None:
    root = make_shards([20, 20])
    orders = {}
    for batching in SHARES:
        data = module(root, batching=batching)
        orders[batching] = [batch["id"].tolist() for batch in data.collection.train_loader(data._plan())]
        assert data._order()["regional_percent"] == SHARES[batching]
        flat = list(chain(*orders[batching]))
        assert len(flat) == len(set(flat)) == len(data.collection.train_rows) // 6 * 6
    assert orders["random"] != orders["regional"] != orders["mixed"]


def test_an_unknown_batching_and_one_that_streams_are_refused(make_shards: MakeShards) -> None:
    with pytest.raises(ValueError, match=r"dataset\.batching must be one of random, mixed, regional, got 'local'"):
        S2DataModule("anywhere", batching="local")
    root = make_shards([20, 20])
    for cache in (0.0, 1.0):
        far = root / f"elsewhere_{cache:.0f}"
        far.mkdir()
        (far / "index.csv").write_bytes((root / "index.csv").read_bytes())
        urls = f"pipe:cat {root}/shard-{{000..001}}.tar"
        data = module(far, urls=urls, cache_gib=cache, batching="regional")
        with pytest.raises(ValueError, match="draw a batch from all shards at once") as told:
            data.collection.train_loader(data._plan())
        assert str(told.value) == ALL_AT_ONCE


def test_a_run_does_not_resume_in_mid_epoch_with_another_batching() -> None:
    before = {"epoch": 1, "batch": 3, "order": {"seed": 0}}  # of a version that knew no regions
    assert resumed(before, {"seed": 0, "regional_percent": 0}) == (1, 3)
    with pytest.raises(ValueError, match="regional_percent 0 then, 100 now"):
        resumed(before, {"seed": 0, "regional_percent": 100})
