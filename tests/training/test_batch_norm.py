"""Batch norms over ranks, beside torch's own on the rows of all ranks together."""

import pytest
import torch
from torch import Tensor, nn

from satclip import ranks
from satclip.training.batch_norm import GlobalBatchNorm


@pytest.fixture
def two_ranks_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another rank held the same rows: what is said between ranks is then known."""
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    monkeypatch.setattr(ranks, "total", lambda value: 2 * value)
    monkeypatch.setattr(ranks, "gather", lambda rows, held=None: torch.cat([rows, rows]))


def pair(kind: type[nn.Module], **options: object) -> tuple[nn.Module, nn.Module]:
    """One of torch's, and the same converted."""
    torch.manual_seed(2)
    plain, ours = kind(3, **options), kind(3, **options)
    if options.get("affine", True):
        for norm in (plain, ours):
            nn.init.uniform_(norm.weight, 0.5, 2.0, generator=torch.Generator().manual_seed(1))
            nn.init.uniform_(norm.bias, -1.0, 1.0, generator=torch.Generator().manual_seed(2))
    return plain, GlobalBatchNorm().apply(nn.Sequential(ours, nn.Linear(1, 1)))[0]


@pytest.mark.usefixtures("two_ranks_alike")
@pytest.mark.parametrize("options", [{}, {"momentum": None}, {"affine": False}, {"track_running_stats": False}])
@pytest.mark.parametrize(("kind", "shape"), [(nn.BatchNorm1d, (5, 3)), (nn.BatchNorm2d, (4, 3, 6, 5))])
def test_values_gradients_and_running_statistics_are_those_of_all_rows(
    kind: type[nn.Module], shape: tuple[int, ...], options: dict[str, object]
) -> None:
    plain, ours = pair(kind, **options)
    for step in range(3):
        rows = 100 + torch.randn(shape, generator=torch.Generator().manual_seed(step)) * torch.tensor(3.0)
        here, alone = rows.clone().requires_grad_(), rows.clone().requires_grad_()
        weights = torch.randn(shape, generator=torch.Generator().manual_seed(9))
        found, expected = ours(here), plain(torch.cat([alone, alone]))[: len(rows)]
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
        (found * weights).sum().backward()
        (expected * weights).sum().backward()
        torch.testing.assert_close(here.grad, alone.grad, rtol=1e-3, atol=1e-4)
    state = {name: value for name, value in ours.state_dict().items() if isinstance(value, Tensor)}
    assert state.keys() == plain.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("two_ranks_alike")
def test_in_evaluation_it_is_torch_s_own() -> None:
    plain, ours = pair(nn.BatchNorm2d)
    rows = torch.randn(4, 3, 6, 5)
    assert torch.equal(ours.eval()(rows), plain.eval()(rows))


def test_on_one_process_it_is_torch_s_own_bit_for_bit() -> None:
    plain, ours = pair(nn.BatchNorm1d)
    rows = torch.randn(6, 3)
    assert torch.equal(ours(rows), plain(rows))
    assert torch.equal(ours.running_var, plain.running_var)


def test_only_batch_norms_are_converted_and_once() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Sequential(nn.LayerNorm(3), nn.BatchNorm2d(3)))
    names = list(model.state_dict())
    GlobalBatchNorm().apply(model)
    kinds = [type(module) for module in model.modules()]
    assert [kind.__mro__[1].__name__ for kind in kinds if issubclass(kind, nn.BatchNorm2d)] == ["_OverRanks"] * 2
    assert list(GlobalBatchNorm().apply(model).state_dict()) == names
    assert [type(module) for module in model.modules()] == kinds
