"""Real gloo processes against one process with the whole batch, in float64. Run as a script, this is one of them."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from satclip import ranks
from satclip.loss import (
    AuxiliaryLoss,
    ClipLoss,
    CombinedLoss,
    NestedLoss,
    RegressionLoss,
    SigLipLoss,
    SoftClipLoss,
)
from satclip.loss.inputs import sources_of
from satclip.training.gradcache import cached_outputs

WORLDS = {2: [5, 8], 3: [4, 1, 6]}  # rows of each rank
SCALES = {"usual": 2.6, "largest": 4.6}
LOSSES: dict[str, Callable[[], nn.Module]] = {
    "clip": lambda: ClipLoss(chunk=3),
    "siglip": lambda: SigLipLoss(chunk=3),
    "soft": lambda: SoftClipLoss(softness=0.8, chunk=3),
}


OPTIONS: dict[str, Any] = {"exclude_within_km": 4000.0, "exclude_alike": 0.1, "debias": 0.05, "chunk": 3}
# Losses that see more than two embeddings, or are made of others: their formulas are tested on one process.
MORE: dict[str, Callable[[], nn.Module]] = {
    "excluded": lambda: ClipLoss(**OPTIONS),
    "excluded by features": lambda: SoftClipLoss(**OPTIONS, alike_by="image_features", likeness="features"),
    "sphere": lambda: SoftClipLoss(likeness="sphere", likeness_km=3000.0, chunk=3),
    "nested": lambda: NestedLoss(ClipLoss(chunk=3), embedding_dim=8, dims=[2, 5]),
    "combined": lambda: CombinedLoss(
        {
            "clip": ClipLoss(chunk=3),
            "teacher": RegressionLoss(embedding_dim=8, target_dim=3, target="teacher"),
            "features": RegressionLoss(embedding_dim=8, target_dim=16, target="image_features", standardise="channel"),
            "term": AuxiliaryLoss("term"),
        },
        {"term": 0.3},
    ),
}


class Pair(nn.Module):
    """Two towers, a temperature and a loss: the smallest model that DDP can train."""

    def __init__(self, loss: nn.Module, scale: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.image = nn.Sequential(nn.Linear(7, 16), nn.Tanh(), nn.Linear(16, 8))
        self.location = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 8))
        self.logit_scale = nn.Parameter(torch.tensor(scale))
        self.loss = loss

    def encode(self, images: Tensor, lonlat: Tensor) -> tuple[Tensor, Tensor]:
        return self.image(images), self.location(lonlat)

    def forward(self, images: Tensor, lonlat: Tensor, chunk: int | None = None) -> Tensor:
        if chunk is None:
            embeddings = self.encode(images, lonlat)
        else:
            pieces = zip(images.split(chunk), lonlat.split(chunk), strict=True)
            embeddings = cached_outputs(self.encode, pieces, self)
        loss: Tensor = self.loss(*embeddings, self.logit_scale)
        return loss


class Asked(Pair):
    """The same, for losses that ask: features, a term of the location encoder, and entries of the batch."""

    def outputs(self, images: Tensor, lonlat: Tensor) -> tuple[Tensor, ...]:
        features, location = self.image[:-1](images), self.location(lonlat)
        embedding = self.image[-1](features)
        return embedding, location, features, (embedding.detach() - location).square()

    def forward(self, images: Tensor, lonlat: Tensor, chunk: int | None = None) -> Tensor:
        if chunk is None:
            found = self.outputs(images, lonlat)
        else:
            pieces = zip(images.split(chunk), lonlat.split(chunk), strict=True)
            found = cached_outputs(self.outputs, pieces, self)
        image, location, features, term = found
        teacher = images[:, :3].where(images[:, 3:4] < 1, torch.nan)  # some places have none
        there = {"lonlat": 40 * lonlat.tanh(), "teacher": teacher, "image_features": features, "auxiliary.term": term}
        asked = {argument: there[source] for argument, source in sources_of(self.loss).items()}
        value = self.loss(image, location, self.logit_scale, **asked)
        total: Tensor = sum(value.values()) if isinstance(value, dict) else value  # type: ignore[assignment]
        return total


def data(rows: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """The whole batch, cut by rank."""
    generator = torch.Generator().manual_seed(1)
    images, lonlat = (torch.randn(sum(rows), width, generator=generator, dtype=torch.float64) for width in (7, 2))
    return list(zip(images.split(list(rows)), lonlat.split(list(rows)), strict=True))


def outcome(model: nn.Module, value: Tensor) -> dict[str, Tensor]:
    """The loss and every gradient."""
    value.backward()
    gradients = {name.removeprefix("module."): tensor.grad for name, tensor in model.named_parameters()}
    return {"value": value.detach(), **{name: gradient for name, gradient in gradients.items() if gradient is not None}}


def work(rank: int, rows: list[int]) -> dict[str, Any]:
    """Everything that one rank finds out."""
    found: dict[str, Any] = {"rank": ranks.rank(), "world_size": ranks.world_size(), "counts": ranks.counts(rows[rank])}
    found["total"] = ranks.total(torch.tensor([1.0, rank])), ranks.total(rank + 1)
    found["largest"] = ranks.largest(torch.tensor([-1.0, rank])), ranks.largest(-rank)

    mine = (10.0 * rank + torch.arange(rows[rank])[:, None] * torch.ones(2)).requires_grad_()
    everything = ranks.gather(mine)
    ((rank + 1) * everything * torch.arange(len(everything))[:, None]).sum().backward()
    found["gather"] = everything.detach(), mine.grad
    found["ids"] = ranks.gather(torch.arange(rows[rank]))

    for held, name in ((rows, "uneven"), ([*rows[:-1], 0], "empty")):
        images, lonlat = data(held)[rank]
        for loss, make in LOSSES.items():
            for scale, start in SCALES.items():
                model = DistributedDataParallel(Pair(make(), start).double())
                found[f"{name} {loss} {scale}"] = outcome(model, model(images, lonlat))
    for loss, make in LOSSES.items():
        model = DistributedDataParallel(Pair(make(), SCALES["usual"]).double())
        images, lonlat = data(rows)[rank]
        found[f"cached {loss}"] = outcome(model, model(images, lonlat, 2))
    more: dict[str, Any] = {}
    for loss, make in MORE.items():
        for held, name in ((rows, "uneven"), ([*rows[:-1], 0], "empty")):
            model = DistributedDataParallel(Asked(make(), SCALES["usual"]).double())
            more[f"{name} {loss}"] = outcome(model, model(*data(held)[rank]))
        model = DistributedDataParallel(Asked(make(), SCALES["usual"]).double())
        more[f"cached {loss}"] = outcome(model, model(*data(rows)[rank], 2))
    found["more"] = more
    return found


def main(rank: int, world: int, folder: Path) -> None:
    patience = timedelta(seconds=60)
    dist.init_process_group("gloo", f"file://{folder}/meeting", patience, rank=rank, world_size=world)
    torch.save(work(rank, WORLDS[world]), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module", params=WORLDS, ids="{} ranks".format)
def found(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each rank of a world of processes found out."""
    world: int = request.param
    folder = tmp_path_factory.mktemp(f"world_{world}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, __file__, str(rank), str(world), str(folder)] for rank in range(world)]
    processes = [subprocess.Popen(command, env=environment) for command in commands]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0] * world
    finally:
        for process in processes:
            process.kill()
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


def textbook(loss: str, scale: str, rows: Sequence[int]) -> dict[str, Tensor]:
    """One process, the whole batch, the full matrix."""
    model = Pair(LOSSES[loss](), SCALES[scale]).double()
    images, lonlat = (torch.cat(column) for column in zip(*data(rows), strict=True))
    units = F.normalize(model.image(images), dim=-1)
    cosines = units @ F.normalize(model.location(lonlat), dim=-1).T
    logits = model.logit_scale.exp() * cosines
    if isinstance(model.loss, SigLipLoss):
        signs = 2 * torch.eye(len(images), dtype=torch.float64) - 1
        return outcome(model, -F.logsigmoid(signs * (logits + model.loss.bias)).sum() / len(images))
    target = torch.eye(len(images), dtype=torch.float64)
    if isinstance(model.loss, SoftClipLoss):
        alike = F.normalize(units - units.mean(0), dim=-1).detach()
        target = 0.2 * target + 0.8 * (alike @ alike.T / 0.1).softmax(-1)
    return outcome(model, (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2)


def test_every_rank_knows_its_place_and_how_many_rows_the_others_hold(found: list[dict[str, Any]]) -> None:
    world = len(found)
    assert [result["rank"] for result in found] == list(range(world))
    assert all(result["world_size"] == world and result["counts"] == WORLDS[world] for result in found)


def test_totals_and_maxima_are_the_same_on_every_rank(found: list[dict[str, Any]]) -> None:
    world = len(found)
    for result in found:
        tensor, number = result["total"]
        assert tensor.tolist() == [world, sum(range(world))]
        assert number == sum(range(world + 1))
        tensor, number = result["largest"]
        assert tensor.tolist() == [-1, world - 1]
        assert number == 0


def test_gathered_rows_stand_in_the_order_of_ranks_and_gradients_find_their_way_home(
    found: list[dict[str, Any]],
) -> None:
    rows = WORLDS[len(found)]
    starts = [sum(rows[:rank]) for rank in range(len(rows))]
    expected = torch.cat([10.0 * rank + torch.arange(count) for rank, count in enumerate(rows)])
    weight = sum(rank + 1 for rank in range(len(rows)))
    for rank, result in enumerate(found):
        everything, gradient = result["gather"]
        assert torch.equal(everything[:, 0], expected)
        own = torch.arange(starts[rank], starts[rank] + rows[rank])
        assert torch.equal(gradient, weight * own[:, None] * torch.ones(2))
        assert torch.equal(result["ids"], torch.cat([torch.arange(count) for count in rows]))


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch", ["uneven", "empty"])
def test_loss_and_gradients_are_those_of_one_process_with_the_whole_batch(
    found: list[dict[str, Any]], batch: str, loss: str, scale: str
) -> None:
    rows = WORLDS[len(found)] if batch == "uneven" else [*WORLDS[len(found)][:-1], 0]
    for result in found:
        torch.testing.assert_close(result[f"{batch} {loss} {scale}"], textbook(loss, scale, rows), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", LOSSES)
def test_cached_gradients_over_ranks_are_those_of_one_process_too(found: list[dict[str, Any]], loss: str) -> None:
    expected = textbook(loss, "usual", WORLDS[len(found)])
    for result in found:
        torch.testing.assert_close(result[f"cached {loss}"], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("loss", MORE)
@pytest.mark.parametrize("batch", ["uneven", "empty", "cached"])
def test_what_a_loss_sees_beside_embeddings_is_gathered_too(found: list[dict[str, Any]], batch: str, loss: str) -> None:
    rows = [*WORLDS[len(found)][:-1], 0] if batch == "empty" else WORLDS[len(found)]
    model = Asked(MORE[loss](), SCALES["usual"]).double()
    images, lonlat = (torch.cat(column) for column in zip(*data(rows), strict=True))
    expected = outcome(model, model(images, lonlat))
    for result in found:
        torch.testing.assert_close(result["more"][f"{batch} {loss}"], expected, rtol=1e-9, atol=1e-9)


def test_every_rank_reports_the_same_loss(found: list[dict[str, Any]]) -> None:
    for one, other in pairwise(found):
        names = [name for name in one if isinstance(one[name], dict) and name != "more"]
        assert len(names) == 5 * len(LOSSES)
        assert all(torch.equal(one[name]["value"], other[name]["value"]) for name in names)


def test_one_process_talks_to_nobody() -> None:
    rows = torch.ones(3, 2, requires_grad=True)
    assert (ranks.rank(), ranks.world_size(), ranks.counts(3)) == (0, 1, [3])
    assert ranks.gather(rows) is rows
    assert torch.equal(ranks.total(rows), rows)
    assert not ranks.total(rows).requires_grad
    assert ranks.largest(4) == 4


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
