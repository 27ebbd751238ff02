"""One step of training, for every pair of encoding and network."""

from functools import partial
from itertools import product

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.location.networks import NETWORKS
from satclip.loss import ClipLoss, SoftClipLoss
from satclip.sphere import uniform_on_sphere
from satclip.training.module import ContrastiveModule
from satclip.training.optim import adamw, cosine
from satclip.vision import TinyCNN

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


def build(
    encoding: str = "sphericalharmonics", network: str = "siren", loss: nn.Module | None = None, **options: object
) -> ContrastiveModule:
    """A small model of the given kind."""
    torch.manual_seed(0)
    chosen = ENCODINGS[encoding](**({"legendre_polys": 4} if encoding == "sphericalharmonics" else {}))
    width = {} if network == "linear" else {"hidden_dim": 16}
    return ContrastiveModule(
        LocationEncoder(chosen, partial(NETWORKS[network], **width), 8),
        TinyCNN(in_channels=2, embedding_dim=8, width=4),
        loss or ClipLoss(),
        partial(adamw, lr=1e-2, weight_decay=0.01),
        partial(cosine, warmup=0.0),
        **options,
    )


def batches(count: int, size: int = 8) -> list[dict[str, Tensor]]:
    """Batches of noise, as the DataModule would hand them over."""
    generator = torch.Generator().manual_seed(1)
    return [
        {
            "image": torch.rand(size, 2, 16, 16, generator=generator),
            "lonlat": uniform_on_sphere(size, generator),
            "id": torch.arange(size) + number * size,
        }
        for number in range(count)
    ]


def loader(count: int) -> torch.utils.data.DataLoader[dict[str, Tensor]]:
    """The same batches through a DataLoader, already batched."""
    return torch.utils.data.DataLoader(batches(count), batch_size=None)


OF_BANDS = ("sphericalharmonics", "banded_siren")  # a network of degrees takes no other encoding


@pytest.mark.parametrize(
    ("encoding", "network"),
    [pair for pair in product(ENCODINGS, NETWORKS) if pair[1] != OF_BANDS[1] or pair == OF_BANDS],
)
def test_every_encoding_learns_with_every_network(encoding: str, network: str) -> None:
    module = build(encoding, network)
    optimizer = module.optimizer(module)
    (batch,) = batches(1)
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    loss = module.loss(
        module.model.encode_image(batch["image"]),
        module.model.encode_location(batch["lonlat"]),
        module.model.logit_scale,
    )
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    moved = [name for name, value in module.named_parameters() if not torch.equal(value, before[name])]
    assert {name.split(".")[1] for name in moved} == {"vision", "location_encoder", "logit_scale"}


def test_everything_promised_is_logged() -> None:
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", log_every_n_steps=1, num_sanity_val_steps=0, **QUIET)
    trainer.fit(build(), loader(3), loader(2))
    assert {
        "train/loss",
        "train/temperature",
        "train/learning_rate",
        "val/loss",
        "val/image_to_location/top1",
        "val/image_to_location/top10",
        "val/location_to_image/top10",
    } <= set(trainer.callback_metrics)


def test_the_validation_loss_is_the_mean_over_batches_of_the_untouched_model() -> None:
    module = build()
    trainer = L.Trainer(accelerator="cpu", **QUIET)
    (metrics,) = trainer.validate(module, loader(3), verbose=False)
    with torch.no_grad():
        module.eval()
        expected = [
            module.loss(
                module.model.encode_image(batch["image"]),
                module.model.encode_location(batch["lonlat"]),
                module.model.logit_scale,
            )
            for batch in batches(3)
        ]
    assert metrics["val/loss"] == pytest.approx(torch.stack(expected).mean().item(), rel=1e-5)


def test_retrieval_searches_among_the_asked_number_of_places() -> None:
    module = build(retrieval_places=10)
    (metrics,) = L.Trainer(accelerator="cpu", **QUIET).validate(module, loader(3), verbose=False)
    assert metrics["val/image_to_location/top10"] == 1.0  # ten places: the right one is always among ten


def test_dropout_depends_on_the_step_and_not_on_what_was_drawn_before() -> None:
    module = build()
    module.trainer = L.Trainer(accelerator="cpu", **QUIET)
    (batch,) = batches(1)
    module.on_train_batch_start(batch, 3)
    first = torch.rand(4)
    torch.rand(100)
    module.on_train_batch_start(batch, 3)
    assert torch.equal(torch.rand(4), first)
    module.on_train_batch_start(batch, 4)
    assert not torch.equal(torch.rand(4), first)


def test_a_checkpoint_of_another_architecture_is_refused_by_name() -> None:
    saved = {"state_dict": build(network="mlp").state_dict()}
    with pytest.raises(ValueError, match=r"(?s)another architecture.*network\.hidden.*drop ckpt_path"):
        build().on_load_checkpoint(saved)
    build().on_load_checkpoint({"state_dict": build().state_dict()})


def test_a_checkpoint_says_how_to_build_its_location_encoder() -> None:
    module = build()
    checkpoint: dict[str, object] = {}
    module.on_save_checkpoint(checkpoint)
    again = LocationEncoder.from_config(checkpoint["satclip"]["location_encoder"])
    again.load_state_dict(module.model.location_encoder.state_dict())
    lonlat = batches(1)[0]["lonlat"]
    assert torch.equal(again(lonlat), module.model.location_encoder(lonlat))


def test_the_temperature_learns_unless_it_is_told_not_to() -> None:
    assert build().model.logit_scale.requires_grad
    held = build(learn_temperature=False, temperature=0.05)
    assert not held.model.logit_scale.requires_grad
    assert torch.exp(-held.model.logit_scale).item() == pytest.approx(0.05)


def gradients_of(module: ContrastiveModule, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The gradients of one training step, through Lightning."""
    kept: dict[str, Tensor] = {}

    class Keep(L.Callback):
        def on_before_optimizer_step(self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object) -> None:
            kept.update({name: weight.grad.clone() for name, weight in pl_module.named_parameters()})

    loaded = torch.utils.data.DataLoader([batch], batch_size=None)
    L.Trainer(max_steps=1, accelerator="cpu", callbacks=[Keep()], **QUIET).fit(module, loaded, loader(1))
    return kept


@pytest.mark.parametrize("parts", [2, 5])
def test_a_batch_in_parts_trains_like_the_whole_batch(parts: int) -> None:
    """In float64: in float32 the order of a bias's sum alone is worth more than the 1e-6 that is promised."""
    whole, cached = build().double(), build(cached_batches=parts).double()
    for module in (whole, cached):  # a batch norm sees the parts, so without
        for name, part in list(module.named_modules()):
            if isinstance(part, nn.BatchNorm2d):
                module.get_submodule(name.rpartition(".")[0]).register_module(name.rpartition(".")[2], nn.Identity())
    (batch,) = batches(1, size=13)
    batch["image"] = batch["image"].double()
    torch.testing.assert_close(gradients_of(cached, batch), gradients_of(whole, batch), rtol=1e-9, atol=1e-9)


def test_under_bfloat16_the_loss_is_computed_in_float32() -> None:
    module = build()
    seen: list[torch.dtype] = []
    module.loss.register_forward_hook(lambda _, inputs, loss: seen.extend([inputs[0].dtype, loss.dtype]))
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", precision="bf16-mixed", **QUIET)
    trainer.fit(module, loader(2), loader(1))
    assert torch.bfloat16 in seen  # the towers' side
    assert seen[1] is torch.float32
    assert trainer.callback_metrics["train/loss"].isfinite()
    assert all(weight.dtype is torch.float32 for weight in module.parameters())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_gradients_may_be_clipped_in_any_precision(precision: str) -> None:
    module = build()
    before = [weight.detach().clone() for weight in module.parameters()]
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", precision=precision, gradient_clip_val=0.5, **QUIET)
    trainer.fit(module, loader(2), loader(1))
    assert trainer.global_step == 2
    assert not any(torch.equal(*pair) for pair in zip(before, module.parameters(), strict=True))


@pytest.mark.slow
def test_compiled_towers_give_the_same_numbers() -> None:
    plain, compiled = build(), build()
    compiled.compile_towers()
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    (batch,) = batches(1)
    expected, found = gradients_of(plain, batch), gradients_of(compiled, batch)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


class FarApart(nn.Module):
    """A loss from outside the package: it wants to know where the places lie."""

    inputs = ("lonlat", "id")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, images: Tensor, locations: Tensor, logit_scale: Tensor, **asked: Tensor) -> Tensor:
        assert sorted(asked) == ["id", "lonlat"]
        self.seen.append(asked["lonlat"])
        return ((images - locations) * asked["lonlat"][:, :1].cos()).square().mean()


@pytest.mark.parametrize(
    "loss",
    [FarApart(), SoftClipLoss(likeness="sphere"), SoftClipLoss(likeness="features")],
    ids=["own", "sphere", "features"],
)
def test_a_loss_is_given_what_it_asks_for_in_training_and_validation(loss: nn.Module) -> None:
    module = build(loss=loss)
    trainer = L.Trainer(max_epochs=1, **QUIET)
    trainer.fit(module, loader(2), loader(1))
    assert trainer.callback_metrics["val/loss"].isfinite()
    if isinstance(loss, FarApart):
        assert any(torch.equal(loss.seen[-1], batch["lonlat"]) for batch in batches(1))
