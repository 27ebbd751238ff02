"""A loss and an encoder from outside the package: what a loss may see beside two embeddings, and how it gets there."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from hydra.utils import instantiate
from torch import Tensor, nn

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics
from satclip.loss import AuxiliaryLoss, SoftClipLoss
from satclip.runs import hydra_setup
from satclip.runs.config import checks
from satclip.sphere import uniform_on_sphere
from satclip.training.loss_inputs import LossInputs
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import ClipResNet, ClipViT, TinyCNN

PROJECT = Path(__file__).parents[2]
OUTSIDE = '''
import torch
from torch import nn

from satclip.loss import ClipLoss
from satclip.loss.rows import mean_over_ranks


class Distilled(nn.Module):
    """Contrastive, plus a regression to image features and to a term of the encoder; looks at the place as well."""

    inputs = {"features": "image_features", "spread": "auxiliary.spread", "lonlat": "lonlat"}

    def __init__(self, weight: float, width: int, embedding_dim: int) -> None:
        super().__init__()
        self.weight, self.clip, self.head = weight, ClipLoss(), nn.Linear(embedding_dim, width)
        self.seen = []

    def forward(self, images, locations, logit_scale, *, features, spread, lonlat):
        self.seen.append({"features": features, "spread": spread, "lonlat": lonlat})
        error = (self.head(locations) - features.detach()).square().mean(1)
        return {
            "clip": self.clip(images, locations, logit_scale),
            "features": self.weight * mean_over_ranks(error),
            "spread": mean_over_ranks(spread.mean(1)),
        }


class Spreading(nn.Module):
    """A network that computes, beside its output, how far it is from the picture."""

    name = "spreading"
    auxiliary = ("spread",)

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_dim, out_dim)
        self.to_image = nn.Linear(out_dim, out_dim)

    def options(self):
        return {}

    def rest(self, hidden):
        return hidden

    def forward(self, features):
        return self.rest(self.first(features))

    def with_auxiliary(self, features, image_embeddings):
        embedding = self(features)
        return embedding, {"spread": (self.to_image(image_embeddings.detach()) - embedding).square()}
'''
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that has both."""
    (tmp_path / "outside_losses.py").write_text(OUTSIDE)
    monkeypatch.syspath_prepend(tmp_path)
    return "outside_losses"


def built(outside: str, loss: str = "Distilled", **options: float) -> ContrastiveModule:
    """A small model of that loss and that encoder."""
    torch.manual_seed(0)
    network = partial(instantiate, {"_target_": f"{outside}.Spreading"})
    return ContrastiveModule(
        LocationEncoder(SphericalHarmonics(4), network, 8),
        ClipViT(in_channels=2, embedding_dim=8, image_size=16, patch_size=8, layers=1, width=16, heads=2),
        instantiate({"_target_": f"{outside}.{loss}", "weight": 0.5, "width": 16, "embedding_dim": 8}),
        partial(adamw, lr=1e-2, weight_decay=0.01),
        **options,  # type: ignore[arg-type]
    ).double()


def batch(size: int = 13) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(size, 2, 16, 16, generator=generator, dtype=torch.float64)
    return {"image": images, "lonlat": uniform_on_sphere(size, generator), "id": torch.arange(size)}


class Keep(L.Callback):
    """The gradients of a step, and what the loss was given in it."""

    def __init__(self) -> None:
        self.gradients: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
        found = {name: weight.grad for name, weight in pl_module.named_parameters()}
        self.gradients = {name: grad.clone() for name, grad in found.items() if grad is not None}


def step(module: ContrastiveModule) -> tuple[dict[str, Tensor], L.Trainer]:
    """The gradients of one step through Lightning."""
    keep, loaded = Keep(), torch.utils.data.DataLoader([batch()], batch_size=None)
    trainer = L.Trainer(max_steps=1, accelerator="cpu", callbacks=[keep], log_every_n_steps=1, **QUIET)
    trainer.fit(module, loaded, loaded)
    return keep.gradients, trainer


def test_a_loss_from_outside_sees_features_and_what_the_encoder_computes(outside: str) -> None:
    module = built(outside)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    gradients, trainer = step(module)
    assert gradients.keys() == dict(module.named_parameters()).keys()
    fresh = built(outside)
    fresh.load_state_dict(before)
    with torch.no_grad():
        images, features = fresh.model.encode_image_and_features(batch()["image"])
        network: Any = fresh.model.location_encoder.network
        spread = network.to_image(images) - fresh.model.encode_location(batch()["lonlat"])
    loss: Any = module.loss
    seen = loss.seen[0]
    torch.testing.assert_close(seen["features"], features)
    torch.testing.assert_close(seen["spread"], spread.square())
    assert torch.equal(seen["lonlat"], batch()["lonlat"])
    metrics = trainer.callback_metrics
    for stage in ("train", "val"):
        parts = [metrics[f"{stage}/loss/{name}"] for name in ("clip", "features", "spread")]
        assert metrics[f"{stage}/loss"].item() == pytest.approx(sum(part.item() for part in parts), rel=1e-6)


@pytest.mark.parametrize("parts", [2, 5])
def test_in_parts_features_and_terms_have_the_gradients_of_the_whole_batch(outside: str, parts: int) -> None:
    whole, _ = step(built(outside))
    cached, _ = step(built(outside, cached_batches=parts))
    torch.testing.assert_close(cached, whole, rtol=1e-9, atol=1e-9)


def test_both_are_named_by_a_config(outside: str) -> None:
    config = hydra_setup.compose(PROJECT / "conf", ["experiment=blue_marble_one_hot", "embedding_dim=8"])
    config.loss = {"_target_": f"{outside}.Distilled", "weight": 0.5, "width": 512, "embedding_dim": 8}
    config.pe_type = {"_target_": f"{outside}.Spreading", "_partial_": True}
    checks.check(config)
    model = instantiate(config.model)
    assert model._inputs.auxiliary == ("spread",)
    assert type(model.loss).__module__ == type(model.model.location_encoder.network).__module__ == outside


class Needy(nn.Module):
    """Asks for whatever it is told to."""

    def __init__(self, *names: str, sees_images: bool = True) -> None:
        super().__init__()
        self.inputs, self.sees_images = names, sees_images

    def forward(self, images: Tensor, locations: Tensor, logit_scale: Tensor, **asked: Tensor) -> Tensor:
        return locations.square().mean()


def plain(loss: nn.Module, vision: nn.Module | None = None) -> ContrastiveModule:
    """A small model whose encoder has no terms."""
    encoder = LocationEncoder(SphericalHarmonics(3), partial(nn_linear), 8)
    vision = vision or TinyCNN(in_channels=2, embedding_dim=8, width=2)
    return ContrastiveModule(encoder, vision, loss, partial(adamw, lr=1e-2, weight_decay=0.0))


def nn_linear(in_dim: int, out_dim: int) -> nn.Module:
    from satclip.location.networks import Linear

    return Linear(in_dim, out_dim)


class Blind(nn.Module):
    """An image tower without features."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :8]


def test_what_is_not_there_is_refused_at_once_and_by_name(outside: str) -> None:
    with pytest.raises(ValueError, match=r"asks for image_features, and the image tower Blind has no features\(\)"):
        plain(SoftClipLoss(likeness="features"), Blind())
    with pytest.raises(ValueError, match="auxiliary reconstruction, and it has none; choose an encoder that has"):
        plain(AuxiliaryLoss("reconstruction"))
    with pytest.raises(ValueError, match="auxiliary spread need image embeddings, and this loss has none"):
        LossInputs(built(outside).model, Needy("auxiliary.spread", sees_images=False))
    with pytest.raises(ValueError, match="asks for teacher, and a batch has id, image, lonlat; choose"):
        step(plain(Needy("teacher")))
    with pytest.raises(ValueError, match="cached_batches must be at least 1, got 0"):
        built(outside, cached_batches=0)


def test_a_term_without_rows_cannot_be_put_together_and_is_refused(outside: str) -> None:
    module = built(outside, cached_batches=2)
    network: Any = module.model.location_encoder.network
    network.with_auxiliary = lambda features, images: (network(features), {"spread": features.mean()})
    with pytest.raises(ValueError, match=r"term spread is \[\] for 13 places; it must have one row a place"):
        step(module)


def test_a_loss_that_never_looks_at_images_trains_no_image_tower() -> None:
    module = plain(Needy("lonlat", sees_images=False)).double()
    calls: list[bool] = []
    module.model.vision.register_forward_hook(lambda vision, *_: calls.append(vision.training))
    gradients, trainer = step(module)
    assert {name.split(".")[1] for name in gradients} == {"location_encoder"}
    assert set(calls) == {False}  # in validation alone, for retrieval
    assert trainer.callback_metrics["val/image_to_location/top10"].isfinite()


@pytest.mark.parametrize(
    "tower",
    [
        lambda: TinyCNN(in_channels=2, embedding_dim=8, width=4),
        lambda: ClipViT(in_channels=2, embedding_dim=8, image_size=32, patch_size=16, layers=1, width=64),
        lambda: ClipResNet(in_channels=2, embedding_dim=8, image_size=32, layers=(1, 1, 1, 1), width=4),
    ],
    ids=["tiny", "vit", "resnet"],
)
def test_the_embedding_is_the_head_s_work_on_the_features(tower: Callable[[], Any]) -> None:
    torch.manual_seed(0)
    vision = tower().eval()
    images = torch.rand(3, 2, 32, 32)
    assert torch.equal(vision.head(vision.features(images)), vision(images))
    assert vision.features(images).shape[0] == 3
