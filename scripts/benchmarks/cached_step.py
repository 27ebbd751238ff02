"""Our training step on stored vectors, in one piece and in parts, and the matrix products that no step does without."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.loss import ClipLoss, SoftClipLoss
from satclip.model import TwoTowers
from satclip.products import add_product, multiply, right_factor
from satclip.sphere import uniform_on_sphere
from satclip.training.loss_inputs import LossInputs
from satclip.training.optim import adamw

LOSSES: dict[str, Callable[[], nn.Module]] = {"clip": ClipLoss, "soft_clip": SoftClipLoss}
PARTS = ("batch", "harmonics", "network", "loss", "optimiser")
Batch = dict[str, Tensor]


class Store:
    """SYNTHETIC: vectors of random numbers at random places, float16 as a store of features is, on the device."""

    def __init__(self, places: int, width: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        self.vectors = torch.randn(places, width, generator=generator).half().to(device)
        self.lonlat = uniform_on_sphere(places, generator).to(device)
        self.order = torch.randperm(places, generator=generator).to(device)

    def batch(self, number: int, size: int) -> Batch:
        """Batch `number` of an endless walk through epochs."""
        first = number * size % (len(self.order) - size + 1)
        rows = self.order[first : first + size]
        return {
            "image": self.vectors.index_select(0, rows).float(),
            "lonlat": self.lonlat.index_select(0, rows),
            "id": rows,
        }


class TwoVectorTowers(nn.Module):
    """What the optimiser of a training is given: the towers as `model`, and the loss."""

    def __init__(self, model: TwoTowers, loss: nn.Module) -> None:
        super().__init__()
        self.model, self.loss = model, loss


def towers(legendre_polys: int, width: int, device: torch.device, capacity: int = 512, dim: int = 256) -> TwoTowers:
    """A linear head over stored vectors, and a location encoder of the published size; the same weights each time."""
    torch.manual_seed(0)
    encoder = LocationEncoder(SphericalHarmonics(legendre_polys), partial(Siren, hidden_dim=capacity), dim)
    return TwoTowers(nn.Linear(width, dim), encoder).to(device)


class CachedStep:
    """The step of `ContrastiveModule` on stored vectors, by the same objects, without Lightning's loop around it.

    Args:
        autocast: of the towers, as Lightning's bf16-mixed; None for float32.
    """

    def __init__(self, model: TwoTowers, loss: nn.Module, autocast: torch.dtype | None) -> None:
        self.model, self.loss, self.autocast = model, loss, autocast
        self.inputs = LossInputs(model, loss)
        self.optimizer = adamw(TwoVectorTowers(model, loss), lr=1e-4, weight_decay=0.01)

    def _towers(self, batch: Batch) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        device = batch["image"].device.type
        with torch.autocast(device, self.autocast, enabled=self.autocast is not None):
            seen = self.inputs(batch)
        assert seen.images is not None
        return seen.images, seen.locations, seen.asked

    def gradients(self, batch: Batch) -> dict[str, Tensor]:
        """By name of the model's parameter."""
        self.optimizer.zero_grad()
        images, locations, asked = self._towers(batch)
        value: Tensor = self.loss(images, locations, self.model.logit_scale, **asked)
        torch.autograd.backward(value)
        return {name: each.grad for name, each in self.model.named_parameters() if each.grad is not None}

    def step(self, batch: Batch) -> None:
        """One step of training."""
        self.gradients(batch)
        self.optimizer.step()

    def parts(self, fetch: Callable[[], Batch]) -> Iterator[str]:
        """The same step cut in parts: each time it comes to the end of one it gives its name, for a clock to be read.

        The embeddings are leaves of the loss, so that its backward pass ends where that of the towers begins.
        """
        self.optimizer.zero_grad()
        batch = fetch()
        yield "batch"
        encoder = self.model.location_encoder
        features = encoder.encoding(batch["lonlat"], encoder.dtype)
        yield "harmonics"
        with torch.autocast(features.device.type, self.autocast, enabled=self.autocast is not None):
            embeddings = self.model.encode_image(batch["image"]), encoder.from_features(features)
        yield "network"
        leaves = [each.detach().requires_grad_() for each in embeddings]
        torch.autograd.backward(self.loss(*leaves, self.model.logit_scale))
        yield "loss"
        torch.autograd.backward(embeddings, [each.grad for each in leaves])
        yield "network"
        self.optimizer.step()
        yield "optimiser"


def bare_products(model: TwoTowers, loss: str, batch: Batch, chunk: int = 512) -> Callable[[], None]:
    """The matrix products of one step and nothing else: each once, in our sizes, by the library that is faster here.

    A linear layer takes one forward, one for its weights and, above another layer, one for its input; similarities
    three of B x B x D, soft targets one more.
    """
    jobs: list[Callable[[], Any]] = []
    rows, encoder = len(batch["id"]), model.location_encoder

    def add(left: Tensor, right: Tensor) -> None:
        jobs.append(partial(multiply, left, right, left.new_empty(len(left), right.shape[1])))

    layers = [layer for layer in encoder.modules() if isinstance(layer, nn.Linear)]
    for layer in (model.vision, *layers):
        assert isinstance(layer, nn.Linear)
        weight = layer.weight.detach()
        given, back = weight.new_ones(rows, weight.shape[1]), weight.new_ones(rows, weight.shape[0])
        add(given, weight.T)
        add(back.T, given)
        if layer not in (model.vision, layers[0]):
            add(back, weight)
    units = torch.ones(rows, encoder.embedding_dim, device=batch["id"].device)
    block, total, factor = units.new_ones(min(chunk, rows), rows), torch.zeros_like(units), right_factor(units)
    scratch = torch.empty_like(block)
    for first in range(0, rows, chunk):
        some = units[first : first + chunk]
        slopes, room = block[: len(some)], scratch[: len(some)]
        jobs += [partial(multiply, some, units.T, room)] * (2 if loss == "soft_clip" else 1)
        add(slopes, factor)
        jobs.append(partial(add_product, total, slopes.T, some))

    def job() -> None:
        for each in jobs:
            each()

    return job
