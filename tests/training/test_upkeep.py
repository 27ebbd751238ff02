"""TTE's objective on TTE's encoder: its terms in plain form, and what the encoder asks of a training."""

from functools import partial
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import SphericalHarmonics, Voronoi
from satclip.location.networks import FCNet
from satclip.loss import ClipLoss, TTELoss
from satclip.sphere import uniform_on_sphere
from satclip.training.loss_inputs import LossInputs
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw
from satclip.vision import TinyCNN

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def build(loss: nn.Module, *, published: bool = False, width: int = 8, lr: float = 0.05) -> ContrastiveModule:
    torch.manual_seed(0)
    encoding = Voronoi(30, 5, width, 4, published=published, token_dropout=0.0)
    encoding.sites.data.normal_()
    return ContrastiveModule(
        LocationEncoder(encoding, partial(FCNet, hidden_dim=6, residual_blocks=1, dropout=0.0), 8),
        TinyCNN(in_channels=2, embedding_dim=8, width=4),
        loss,
        partial(adamw, lr=lr, weight_decay=0.0),
    )


def batch(size: int = 16) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(size, 2, 16, 16, generator=generator)
    return {"image": images, "lonlat": uniform_on_sphere(size, generator), "id": torch.arange(size)}


def softmax(values: Any) -> Any:
    powers = np.exp(values - values.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_the_loss_is_clip_and_both_terms_of_the_paper() -> None:
    module = build(TTELoss()).eval().double()
    seen = LossInputs(module.model, module.loss)(batch() | {"image": batch()["image"].double()})
    parts = module.loss(seen.images, seen.locations, module.model.logit_scale, **seen.asked)

    encoding = module.model.location_encoder.encoding
    s = {name: weight.detach().numpy() for name, weight in encoding.semantics.named_parameters()}
    v = seen.images.detach().numpy()
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    b = softmax((v @ s["of_pictures.weight"].T + s["of_pictures.bias"]) / 0.05)
    e = encoding.cells(batch()["lonlat"]).detach().numpy() @ encoding.sites.detach().numpy()
    a = softmax((e @ s["of_places.weight"].T + s["of_places.bias"]) / np.exp(s["log_temperature"]))
    assert parts["reconstruction"].item() == pytest.approx(100 * np.mean((b @ s["tokens"] - v) ** 2))
    wanted = 0.1 * np.mean(np.sum(a * (np.log(a + 1e-8) - np.log(b + 1e-8)), 1))
    assert parts["alignment"].item() == pytest.approx(wanted)
    torch.testing.assert_close(parts["clip"], ClipLoss()(seen.images, seen.locations, module.model.logit_scale))


def test_each_term_teaches_what_the_paper_has_it_teach() -> None:
    module = build(TTELoss())
    seen = LossInputs(module.model, module.loss)(batch())
    parts = module.loss(seen.images, seen.locations, module.model.logit_scale, **seen.asked)
    semantics = "location_encoder.encoding.semantics"

    def taught(term: str) -> set[str]:
        named = dict(module.model.named_parameters())
        slopes = torch.autograd.grad(parts[term], list(named.values()), allow_unused=True, retain_graph=True)
        return {name for name, slope in zip(named, slopes, strict=True) if slope is not None and slope.any()}

    tokens, pictures = f"{semantics}.tokens", {f"{semantics}.of_pictures.{each}" for each in ("weight", "bias")}
    assert taught("reconstruction") == {tokens, *pictures}
    sites = {f"location_encoder.encoding.{each}" for each in ("sites", "directions", "log_sharpness", "size")}
    places = {f"{semantics}.of_places.{each}" for each in ("weight", "bias")}
    assert taught("alignment") == {*sites, *places, f"{semantics}.log_temperature"}
    assert not taught("clip") & pictures
    assert {tokens, *sites, *places} <= taught("clip")


def test_a_batch_in_parts_has_the_gradients_of_the_whole() -> None:
    module = build(TTELoss()).eval()  # batch norms and dropout would tell them apart
    slopes = []
    for parts in (1, 4):
        module.zero_grad()
        seen = LossInputs(module.model, module.loss)(batch(), parts)
        sum(module.loss(seen.images, seen.locations, module.model.logit_scale, **seen.asked).values()).backward()
        slopes.append([weight.grad.clone() for weight in module.model.location_encoder.parameters()])
    for whole, cut in zip(*slopes, strict=True):
        torch.testing.assert_close(whole, cut, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("published", [False, True])
def test_after_a_training_the_repaired_model_is_within_its_bounds_and_the_published_one_a_step_beyond(
    published: bool,
) -> None:
    module = build(TTELoss(), published=published, lr=3.0)
    trainer = L.Trainer(max_epochs=2, accelerator="cpu", num_sanity_val_steps=0, **QUIET)
    loader = torch.utils.data.DataLoader([batch()] * 3, batch_size=None)
    trainer.fit(module, loader, loader)
    encoding = module.model.location_encoder.encoding
    lengths = torch.linalg.vector_norm(encoding.directions, dim=-1)
    bound = 6.2 if published else 9.2
    within = bool(((encoding.log_sharpness >= -0.701) & (encoding.log_sharpness <= bound + 1e-4)).all())
    assert torch.allclose(lengths, torch.ones(30), atol=1e-5) is not published
    assert within is not published
    assert encoding.semantics.progress.item() == 1.0  # of the last of two epochs


def test_weights_for_pictures_rest_where_no_loss_asks_for_their_terms() -> None:
    rest = build(ClipLoss()).model.location_encoder.encoding.semantics.of_pictures
    assert not any(weight.requires_grad for weight in rest.parameters())
    learns = build(TTELoss()).model.location_encoder.encoding.semantics.of_pictures
    assert all(weight.requires_grad for weight in learns.parameters())


def test_without_that_encoder_the_loss_is_refused_and_a_width_that_no_picture_has_too() -> None:
    with pytest.raises(ValueError, match="asks for the location encoder's auxiliary reconstruction, alignment"):
        ContrastiveModule(
            LocationEncoder(SphericalHarmonics(3), FCNet, 8), TinyCNN(in_channels=2, embedding_dim=8), TTELoss(), adamw
        )
    narrow = build(TTELoss(), width=7)
    with pytest.raises(ValueError, match=r"tokens of 7 numbers, they have 8; give le_type.width="):
        LossInputs(narrow.model, narrow.loss)(batch())
    with pytest.raises(ValueError, match=r"loss\.alignment must be 0 or more, got -1"):
        TTELoss(alignment=-1)
