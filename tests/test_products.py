"""Matrix products by the other library of torch, wherever that is the faster one, against float64."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from satclip import products
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import ResidualSiren, Siren
from satclip.loss import ClipLoss, SigLipLoss, SoftClipLoss
from satclip.sphere import uniform_on_sphere

LINEAR = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
pytestmark = pytest.mark.skipif(LINEAR is None, reason="NEEDS a torch with oneDNN")


@pytest.fixture(params=[True, False], ids=["oneDNN", "torch"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one library or the other for any product, whatever the processor."""
    monkeypatch.setattr(products, "LEAST", 1)
    monkeypatch.setattr(products, "_one_dnn", lambda: LINEAR if request.param else None)


def both(monkeypatch: pytest.MonkeyPatch, job: Callable[[], list[Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """What a job gives with oneDNN, and with torch."""
    monkeypatch.setattr(products, "LEAST", 1)
    found = []
    for linear in (LINEAR, None):
        monkeypatch.setattr(products, "_one_dnn", lambda linear=linear: linear)
        found.append(job())
    return found[0], found[1]


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("turned", [False, True])
def test_products_are_right_to_rounding_in_any_layout(turned: bool) -> None:
    left, right = (random(70, 90).T if turned else random(90, 70)), random(70, 50, seed=1)
    right = right.T.contiguous().T if turned else right
    exact = left.double() @ right.double()
    out, total = torch.empty(90, 50), torch.ones(90, 50)
    assert products.multiply(left, right, out) is out
    assert products.add_product(total, left, products.right_factor(right)) is total
    torch.testing.assert_close(out.double(), exact, rtol=1e-5, atol=3e-5)
    torch.testing.assert_close(total.double(), exact + 1, rtol=1e-5, atol=3e-5)


def test_an_affine_layer_has_right_derivatives_of_first_and_second_order(monkeypatch: pytest.MonkeyPatch) -> None:
    features, weight, bias = random(9, 6).requires_grad_(), random(4, 6, seed=1).requires_grad_(), random(4, seed=2)
    bias.requires_grad_()

    def job() -> list[Tensor]:
        found = products.affine(features, weight, bias)
        value = (torch.nn.functional.linear(features, weight, bias) if found is None else found).sin()
        first = torch.autograd.grad(value.sum(), (features, weight, bias), create_graph=True)
        second = torch.autograd.grad(sum(each.square().sum() for each in first), (features, weight, bias))
        return [value, *first, *second]

    mine, theirs = both(monkeypatch, job)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", [Siren, ResidualSiren])
def test_a_step_of_the_location_tower_is_the_same_to_a_hundred_thousandth(
    network: type[Siren], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    encoder = LocationEncoder(SphericalHarmonics(12), partial(network, hidden_dim=64), 16).train()
    lonlat = uniform_on_sphere(200, torch.Generator().manual_seed(1))

    def job() -> list[Tensor]:
        return [*torch.autograd.grad(encoder(lonlat).square().mean(), [*encoder.parameters()])]

    mine, theirs = both(monkeypatch, job)
    assert not all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True)), "both took the same library"
    for a, b in zip(mine, theirs, strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm()


def test_the_other_library_gets_no_matrix_with_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def noted(left: Tensor, right: Tensor, *rest: object) -> Tensor:
        seen.extend((left, right))
        result: Tensor = LINEAR(left, right, *rest)
        return result

    monkeypatch.setattr(products, "LEAST", 1)
    monkeypatch.setattr(products, "_one_dnn", lambda: noted)
    encoder = LocationEncoder(SphericalHarmonics(12), partial(Siren, hidden_dim=64), 16).train()
    lonlat = uniform_on_sphere(200, torch.Generator().manual_seed(1))
    loss = SoftClipLoss(chunk=64)(random(200, 16).requires_grad_(), encoder(lonlat), torch.tensor(2.6))
    loss.backward()
    encoder(lonlat).sum().backward()  # whose gradient is one number, repeated
    products.multiply(random(9, 20)[:, ::2], random(10, 30)[:, ::3], torch.empty(9, 10))
    assert len(seen) > 40
    assert all(each.is_contiguous() or each.T.is_contiguous() for each in seen)


def test_a_hook_on_a_layer_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "LEAST", 1)
    monkeypatch.setattr(products, "_one_dnn", lambda: LINEAR)
    network, seen = Siren(6, 4, hidden_dim=8).train(), []
    for layer in (network.first, *network.hidden, network.last):
        layer.register_forward_hook(lambda layer, given, found: seen.append(layer))
    network(random(9, 6))
    assert seen == [network.first, *network.hidden, network.last]


@pytest.mark.parametrize("make", [ClipLoss, SoftClipLoss, SigLipLoss])
def test_a_loss_and_its_gradients_are_the_same_to_a_hundred_thousandth(
    make: Callable[..., torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = random(150, 32)
    given = [images.requires_grad_(), (images + random(150, 32, seed=1)).detach().requires_grad_(), torch.tensor(2.6)]

    def job() -> list[Tensor]:
        value = make(chunk=64)(*given)
        return [value, *torch.autograd.grad(value, given[:2])]

    mine, theirs = both(monkeypatch, job)
    for a, b in zip(mine, theirs, strict=True):
        assert (a - b).norm() <= 1e-5 * b.norm()


@pytest.mark.usefixtures("library")
def test_autocast_float64_and_small_products_are_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    features, weight = random(9, 6), random(4, 6, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert products.affine(features, weight, None) is None
    assert products.affine(features.double(), weight.double(), None) is None
    assert products.affine(features[None], weight, None) is None
    monkeypatch.setattr(products, "LEAST", 9 * 6 * 4 + 1)
    assert products.affine(features, weight, None) is None


def test_only_a_wide_amd_processor_takes_the_other_library(monkeypatch: pytest.MonkeyPatch) -> None:
    for vendor, capability, taken in (
        ("AuthenticAMD", "AVX512", True),
        ("AuthenticAMD", "AVX2", False),
        ("GenuineIntel", "AVX512", False),
        ("", "AVX512", False),
    ):
        products._one_dnn.cache_clear()
        monkeypatch.setattr(products, "_vendor", lambda vendor=vendor: vendor)
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        assert (products._one_dnn() is not None) == taken
    products._one_dnn.cache_clear()
