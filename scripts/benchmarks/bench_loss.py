"""Blockwise losses against the plain formula: seconds forward and backward, memory, and how far the gradients differ.

Forms are run in turn, repeat after repeat, so that a busy machine slows both; the ratio is of medians.
"""

import argparse
import ctypes
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from naive_step import plain_clip, plain_soft
from torch import Tensor

from satclip.loss import ClipLoss, NestedLoss, RegressionLoss, SigLipLoss, SoftClipLoss
from satclip.sphere import EARTH_RADIUS_KM, uniform_on_sphere, unit_vectors

NEAR_KM, ALIKE, CHANCE = 300.0, 0.2, 1e-4  # of the row with excluded and debiased negatives
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain_siglip(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
    """The whole matrix, a log-sigmoid of each element."""
    logits = logit_scale.exp() * F.normalize(images, dim=-1) @ F.normalize(locations, dim=-1).T - 10
    signs = 2 * torch.eye(len(logits), device=logits.device) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def plain_nested(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
    """The whole matrix of each prefix."""
    dims = (16, 64, images.shape[1])
    return torch.stack([plain_clip(images[:, :dim], locations[:, :dim], logit_scale) for dim in dims]).mean()


class PlainNegatives:
    """The whole matrix, the whole matrix of what is excluded, and the debiased sums."""

    def __init__(self, lonlat: Tensor, kilometres: float, cosine: float, debias: float) -> None:
        self.points, self.kilometres, self.cosine, self.debias = unit_vectors(lonlat), kilometres, cosine, debias

    def __call__(self, images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
        """The scalar loss."""
        units = F.normalize(images.detach(), dim=-1)
        units = F.normalize(units - units.mean(0), dim=-1)
        logits = logit_scale.exp() * F.normalize(images, dim=-1) @ F.normalize(locations, dim=-1).T
        out = self.points @ self.points.T >= math.cos(self.kilometres / EARTH_RADIUS_KM)
        out = out.logical_or_(units @ units.T > self.cosine).fill_diagonal_(True)
        match, count = logits.diagonal(), (~out).sum(1)
        terms = logits.exp().masked_fill(out, 0)
        least = (count * (-logit_scale.exp()).exp()).detach()
        losses = []
        for others in (terms.sum(1), terms.sum(0)):
            wanted = (others - self.debias * count * match.exp()) / (1 - self.debias)
            losses.append((match.exp() + torch.maximum(wanted, least)).log() - match)
        return torch.stack(losses).mean()


def plain_regression(head: RegressionLoss, target: Tensor) -> Loss:
    """The formula, for a target that is standardised already."""

    def loss(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
        guess = F.linear(locations, head.head.weight, head.head.bias)
        apart = 1 - F.cosine_similarity(guess, target, dim=1)
        return (apart + (guess - target).square().mean(1)).mean() + 0 * (images.sum() + logit_scale)

    return loss


def resident(field: str) -> int:
    """Memory of this process in MiB: `VmRSS` now, `VmHWM` at its peak (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) // 1024


def step(loss: Loss, inputs: list[Tensor]) -> tuple[float, list[Tensor]]:
    """(seconds, gradients) of one forward and backward pass."""
    start = time.perf_counter()
    gradients = torch.autograd.grad(loss(*inputs), inputs)
    return time.perf_counter() - start, list(gradients)


def peak(loss: Loss, inputs: list[Tensor]) -> int:
    """MiB that one pass takes beyond what was held before it (Linux with glibc)."""
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what was freed must not be counted as held
    Path("/proc/self/clear_refs").write_text("5")  # forget the former peak
    before = resident("VmRSS")
    step(loss, inputs)
    return resident("VmHWM") - before


def compare(name: str, plain: Loss, chunked: Loss, inputs: list[Tensor], repeats: int) -> dict[str, str | float]:
    """One row of the table."""
    seconds: dict[str, list[float]] = {"plain": [], "chunked": []}
    forms = {"plain": plain, "chunked": chunked}
    memory = {form: peak(loss, inputs) for form, loss in forms.items()}  # this pass also warms up
    gradients = {}
    for _ in range(repeats):
        for form, loss in forms.items():
            taken, gradients[form] = step(loss, inputs)
            seconds[form].append(taken)
    medians = {form: statistics.median(values) for form, values in seconds.items()}
    errors = [
        float((mine - right).norm() / right.norm().clamp_min(1e-30))
        for mine, right in zip(gradients["chunked"], gradients["plain"], strict=True)
    ]
    return {
        "loss": name,
        "plain_seconds": round(medians["plain"], 4),
        "chunked_seconds": round(medians["chunked"], 4),
        "times_faster": round(medians["plain"] / medians["chunked"], 2),
        "plain_mib": memory["plain"],
        "chunked_mib": memory["chunked"],
        "gradient_difference": float(f"{max(errors):.1e}"),
    }


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--batch", type=int, default=8192, help="pairs")
    parser.add_argument("--dim", type=int, default=256, help="embedding dimensions")
    parser.add_argument("--chunk", type=int, default=512, help="rows of a block")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="write the table here too")
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    images, other = torch.randn(2, options.batch, options.dim, generator=generator)
    inputs = [
        images.requires_grad_(),
        (images + other).detach().requires_grad_(),
        torch.tensor(2.6, requires_grad=True),
    ]
    lonlat = uniform_on_sphere(options.batch, generator)
    target = torch.randn(options.batch, 102, generator=generator)
    target = (target - target.mean(0)) / target.var(0, correction=0).mean().sqrt()
    regression = RegressionLoss(embedding_dim=options.dim, target_dim=102, target="target").eval()

    def excluded(*given: Tensor) -> Tensor:
        loss: Tensor = ClipLoss(chunk=options.chunk, exclude_within_km=NEAR_KM, exclude_alike=ALIKE, debias=CHANCE)(
            *given, lonlat=lonlat
        )
        return loss

    def regressed(images: Tensor, locations: Tensor, logit_scale: Tensor) -> Tensor:
        loss: Tensor = regression(images, locations, logit_scale, target=target)
        return loss + 0 * (images.sum() + logit_scale)

    nested = NestedLoss(ClipLoss(chunk=options.chunk), embedding_dim=options.dim, dims=[16, 64])
    plain_excluded = PlainNegatives(lonlat, NEAR_KM, ALIKE, CHANCE)
    rows = [
        compare("clip", plain_clip, ClipLoss(chunk=options.chunk), inputs, options.repeats),
        compare("soft_clip", plain_soft, SoftClipLoss(chunk=options.chunk), inputs, options.repeats),
        compare("siglip", plain_siglip, SigLipLoss(chunk=options.chunk), inputs, options.repeats),
        compare("clip, near and alike excluded, debiased", plain_excluded, excluded, inputs, options.repeats),
        compare("nested 16, 64, all", plain_nested, nested, inputs, options.repeats),
        compare(
            "regression of 102 (no chunks)", plain_regression(regression, target), regressed, inputs, options.repeats
        ),
    ]

    print(f"batch {options.batch}, {options.dim} dimensions, blocks of {options.chunk} rows, {options.threads} threads")
    print("| " + " | ".join(rows[0]) + " |")
    print("|" + " --- |" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(str(value) for value in row.values()) + " |")
    if options.json:
        options.json.write_text(json.dumps({"options": {**vars(options), "json": None}, "rows": rows}, indent=2))


if __name__ == "__main__":
    main()
