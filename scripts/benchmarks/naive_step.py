"""The training step as it is written first, for `bench_training.py`: plain PyTorch, whole tensors, nothing of ours.

Harmonics by the normalised recurrence in (l, m) (Holmes and Featherstone 2002), one vector of places at a time, in
float64, without a gradient; sine layers as they are printed; the whole B x B matrix of similarities and torch's
cross-entropies; torch's AdamW as it comes.
"""

import copy
import math
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from satclip.location.encodings import SphericalHarmonics
from satclip.location.networks import Siren
from satclip.model import TwoTowers

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def naive_harmonics(lonlat: Tensor, count: int) -> Tensor:
    """Orthonormal real harmonics of the antipodes, as the published system has them: [N, 2] -> [N, L * L]."""
    longitude, latitude = torch.deg2rad(lonlat.double()).unbind(-1)
    sine, cosine = (-latitude).sin(), latitude.cos()
    turned = longitude + math.pi
    columns: dict[tuple[int, int], Tensor] = {}
    edge = torch.full_like(sine, math.sqrt(1 / (4 * math.pi)))
    for m in range(count):
        if m:
            edge = math.sqrt((2 if m == 1 else 1) * (1 + 1 / (2 * m))) * cosine * edge
        here, below = edge, torch.zeros_like(edge)
        for degree in range(m, count):
            if degree > m:
                up = math.sqrt((4 * degree**2 - 1) / (degree**2 - m**2))
                down = up * math.sqrt(((degree - 1) ** 2 - m**2) / (4 * (degree - 1) ** 2 - 1))
                here, below = up * sine * here - down * below, here
            columns[degree, m] = here * (m * turned).cos()
            if m:
                columns[degree, -m] = here * (m * turned).sin()
    return torch.stack([columns[degree, m] for degree in range(count) for m in range(-degree, degree + 1)], -1)


class NaiveStep:
    """The same model as ours, with the same weights, trained by plain PyTorch.

    Args:
        model: a linear layer over stored vectors, and a plain `Siren` on undamped orthonormal harmonics.
        loss: (images, locations, logit_scale) -> scalar, on whole matrices.
        autocast: of the towers, as Lightning's bf16-mixed; None for float32.
    """

    def __init__(self, model: TwoTowers, loss: Loss, autocast: torch.dtype | None) -> None:
        encoding, network = model.location_encoder.encoding, copy.deepcopy(model.location_encoder.network)
        assert isinstance(encoding, SphericalHarmonics)
        assert isinstance(network, Siren)
        assert encoding.harmonics_calculation == "orthonormal"
        assert encoding.damping == "none"
        self.count, self.network, self.loss, self.autocast = encoding.legendre_polys, network, loss, autocast
        self.head = copy.deepcopy(model.vision)
        self.scale = nn.Parameter(model.logit_scale.detach().clone())
        self.parameters = [*self.head.parameters(), *network.parameters(), self.scale]
        self.optimizer = torch.optim.AdamW(
            [
                {"params": [each for each in self.parameters if each.ndim > 1], "weight_decay": 0.01},
                {"params": [each for each in self.parameters if each.ndim < 2], "weight_decay": 0.0},
            ],
            lr=1e-4,
        )

    def gradients(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """By the names that they have in our model."""
        self.optimizer.zero_grad()
        features = naive_harmonics(batch["lonlat"], self.count).float()
        with torch.autocast(features.device.type, self.autocast, enabled=self.autocast is not None):
            images, hidden = (
                self.head(batch["image"]),
                torch.sin(self.network.first_omega * self.network.first(features)),
            )
            for layer in self.network.hidden:
                hidden = torch.sin(self.network.hidden_omega * layer(hidden))
            locations = self.network.last(hidden)
        torch.autograd.backward(self.loss(images.float(), locations.float(), self.scale))
        towers = {"vision": self.head, "location_encoder.network": self.network}
        found = {f"{tower}.{name}": each for tower, part in towers.items() for name, each in part.named_parameters()}
        return {
            name: each.grad for name, each in (found | {"logit_scale": self.scale}).items() if each.grad is not None
        }

    def step(self, batch: Mapping[str, Tensor]) -> None:
        """One step of training."""
        self.gradients(batch)
        self.optimizer.step()


def plain_clip(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
    """The whole matrix, its two cross-entropies."""
    logits = logit_scale.exp() * F.normalize(images, dim=-1) @ F.normalize(locations, dim=-1).T
    match = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, match) + F.cross_entropy(logits.T, match)) / 2


def plain_soft(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
    """The whole matrix against targets softened by the whole matrix of likenesses."""
    units = F.normalize(images.detach(), dim=-1)
    units = F.normalize(units - units.mean(0), dim=-1)
    logits = logit_scale.exp() * F.normalize(images, dim=-1) @ F.normalize(locations, dim=-1).T
    one_hot = torch.eye(len(logits), device=logits.device)
    target = 0.1 * one_hot + 0.9 * (units @ units.T / 0.1).softmax(-1)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
