"""Checkpoints of the published system give the numbers that the published system gave."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from satclip.checkpoint import get_satclip, load_location_encoder, load_towers
from satclip.model import SatCLIP

Writer = Callable[..., Path]


def by_hand(pe_type: str, state: dict[str, Tensor], features: Tensor) -> Tensor:
    """What the published networks compute, written out from their description."""

    def affine(name: str, hidden: Tensor) -> Tensor:
        return F.linear(
            hidden, state[f"model.location.nnet.{name}weight"], state.get(f"model.location.nnet.{name}bias")
        )

    if pe_type == "linear":
        return affine("", features)
    if pe_type == "siren":
        return affine("last_layer.", torch.sin(affine("layers.1.", torch.sin(30 * affine("layers.0.", features)))))
    if pe_type == "mlp":
        hidden = affine("features.0.", features).relu()
        for number in (2, 4):
            hidden = affine(f"features.{number}.", hidden).relu()
        return affine("features.6.", hidden)
    hidden = affine("feats.0.", features).relu()
    for number in range(2, 6):
        hidden = hidden + affine(f"feats.{number}.w2.", affine(f"feats.{number}.w1.", hidden).relu()).relu()
    return affine("class_emb.", hidden)


@pytest.mark.parametrize("pe_type", ["siren", "mlp", "fcnet", "linear"])
def test_each_network_computes_what_its_description_says(published: Writer, lonlat: Tensor, pe_type: str) -> None:
    path = published(pe_type=pe_type)
    longitude, latitude = torch.deg2rad(lonlat).unbind(-1)
    places = torch.stack(
        (longitude.cos() * latitude.cos(), longitude.sin() * latitude.cos(), latitude.sin()), -1
    )  # cartesian3d
    expected = by_hand(pe_type, torch.load(path, weights_only=True)["state_dict"], places)
    with torch.no_grad():
        torch.testing.assert_close(load_location_encoder(path)(lonlat), expected, rtol=1e-12, atol=1e-12)


def test_the_hidden_layers_of_a_published_mlp_stay_one_layer(published: Writer) -> None:
    assert load_location_encoder(published(pe_type="mlp")).config()["network"]["shared_hidden"] is True


def test_hidden_layers_that_differ_stay_apart(published: Writer, lonlat: Tensor) -> None:
    def differ(content: dict[str, Any]) -> None:
        content["state_dict"]["model.location.nnet.features.4.bias"] = torch.ones(8, dtype=torch.float64)

    path = published(differ, pe_type="mlp")
    encoder = load_location_encoder(path)
    assert encoder.config()["network"]["shared_hidden"] is False
    assert torch.equal(encoder.state_dict()["network.hidden.1.bias"], torch.ones(8, dtype=torch.float64))


def test_the_encoding_has_the_published_keywords(published: Writer) -> None:
    grid = load_location_encoder(published(le_type="grid", inputs=16)).config()["encoding"]
    assert grid == {"name": "grid", "frequencies": 4, "min_radius": 1, "max_radius": 360}
    harmonics = load_location_encoder(published(le_type="sphericalharmonics", inputs=25)).config()["encoding"]
    assert harmonics == {"name": "sphericalharmonics", "legendre_polys": 5, "harmonics_calculation": "analytic"}


def test_weights_stay_float64_unless_asked(published: Writer, lonlat: Tensor) -> None:
    path = published()
    assert load_location_encoder(path)(lonlat).dtype == torch.float64
    assert load_location_encoder(path, dtype=torch.float32)(lonlat).dtype == torch.float32


def test_a_loaded_encoder_is_in_evaluation_mode_and_drops_half_only_in_training(
    published: Writer, lonlat: Tensor
) -> None:
    encoder = load_location_encoder(published())
    assert not encoder.training
    assert torch.equal(encoder(lonlat), encoder(lonlat))
    assert not torch.equal(encoder.train()(lonlat), encoder(lonlat))


def test_one_copy_of_the_location_network_is_enough(published: Writer, lonlat: Tensor) -> None:
    def drop(content: dict[str, Any]) -> None:
        for name in [name for name in content["state_dict"] if name.startswith("model.location.")]:
            del content["state_dict"][name]

    both = load_location_encoder(published())(lonlat)
    assert torch.equal(load_location_encoder(published(drop))(lonlat), both)


def test_get_satclip_gives_the_location_tower_or_both(published: Writer, lonlat: Tensor) -> None:
    path = published()
    encoder, towers = get_satclip(path, "cpu"), get_satclip(path, device="cpu", return_all=True)
    assert isinstance(towers, SatCLIP)
    assert torch.equal(encoder(lonlat), towers.encode_location(lonlat))
    assert torch.equal(encoder(lonlat), towers.location(lonlat))
    assert towers.visual(torch.rand(2, 3, 32, 32)).shape == (2, 6)
    assert towers.logit_scale.item() == 2.0


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50", "vit16"])
def test_a_published_backbone_is_filled_from_the_file_and_nothing_is_fetched(
    published: Writer, backbone: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import timm

    network = timm.create_model({"vit16": "vit_small_patch16_224"}.get(backbone, backbone), in_chans=13, num_classes=6)
    classifier = "head" if backbone == "vit16" else "fc"

    def exchange(content: dict[str, Any]) -> None:
        state = content["state_dict"]
        for name in [name for name in state if name.startswith("model.visual.")]:
            del state[name]
        state |= {f"model.visual.{name}": tensor for name, tensor in network.state_dict().items()}

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    towers = load_towers(published(exchange, vision_layers=f"moco_{backbone}", in_channels=13))
    images = torch.rand(1, 13, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(towers.encode_image(images), network.eval()(images), rtol=1e-4, atol=1e-5)
    learning = [name for name, weight in towers.vision.named_parameters() if weight.requires_grad]
    assert learning == ["head.weight", "head.bias"]
    assert torch.equal(towers.vision.head.weight, network.state_dict()[f"{classifier}.weight"])


def test_a_published_model_fills_towers_that_are_to_learn_more(published: Writer, lonlat: Tensor) -> None:
    theirs = load_towers(published())
    mine = load_towers(published(lambda content: content["state_dict"]["model.logit_scale"].zero_())).float().train()
    mine.load_state_dict(theirs.state_dict())
    images = torch.rand(4, 3, 32, 32)
    torch.testing.assert_close(mine.eval()(images, lonlat)[0], theirs(images, lonlat)[0], rtol=1e-4, atol=1e-4)
    mine.train()(images, lonlat)[0].sum().backward()
    assert all(weight.grad is not None for weight in mine.location_encoder.parameters())


@pytest.mark.parametrize(("degrees", "beyond"), [(10, 90.1), (40, 50)])
def test_the_published_numbers_come_out(reference: Path, degrees: int, beyond: float) -> None:
    """L = 10 everywhere; L = 40 where the reference itself still has digits, below 50 degrees of latitude."""
    file = reference / f"official_format_l{degrees}.ckpt"
    printed = {
        name: torch.from_numpy(value) for name, value in np.load(file.with_name(f"{file.stem}_expected.npz")).items()
    }
    lonlat = printed["lonlat"]
    near = lonlat[:, 1].abs() < beyond
    tolerance = 1e-10 if degrees == 10 else 2e-5
    with torch.no_grad():
        exact = load_location_encoder(file)(lonlat)
        single = load_location_encoder(file, dtype=torch.float32)(lonlat.float())
    torch.testing.assert_close(exact[near], printed["location"][near], rtol=0, atol=tolerance)
    torch.testing.assert_close(single[near].double(), printed["location"][near], rtol=0, atol=2e-5)


def test_both_published_towers_give_the_published_numbers_and_loss(reference: Path) -> None:
    file = reference / "official_format_l10.ckpt"
    printed = {
        name: torch.from_numpy(value) for name, value in np.load(file.with_name(f"{file.stem}_expected.npz")).items()
    }
    with torch.no_grad():
        towers = get_satclip(file, "cpu", return_all=True)
        image = towers.encode_image(printed["images"])
        logits = towers(printed["images"], printed["lonlat"][:8])[0]
    torch.testing.assert_close(image, printed["image"], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits, printed["logits_per_image"], rtol=0, atol=1e-4)
    match = torch.arange(8)
    loss = (F.cross_entropy(logits, match) + F.cross_entropy(logits.T, match)) / 2
    assert loss.item() == pytest.approx(printed["loss"].item(), abs=1e-5)


@pytest.mark.parametrize("pe_type", ["siren", "mlp", "fcnet", "linear"])
def test_every_published_network_gives_its_printed_numbers(reference: Path, tmp_path: Path, pe_type: str) -> None:
    printed = np.load(reference / "networks.npz")
    content = torch.load(reference / "official_format_l10.ckpt", weights_only=True)
    content["hyper_parameters"]["pe_type"] = pe_type
    content["state_dict"] = {
        name.replace(f"{pe_type}/weights/", "model.location.nnet."): torch.from_numpy(printed[name])
        for name in printed
        if name.startswith(f"{pe_type}/weights/")
    }
    torch.save(content, tmp_path / "network.ckpt")
    lonlat = torch.from_numpy(np.load(reference / "official_format_l10_expected.npz")["lonlat"])
    with torch.no_grad():
        embedding = load_location_encoder(tmp_path / "network.ckpt")(lonlat)
    torch.testing.assert_close(embedding, torch.from_numpy(printed[f"{pe_type}/out"]), rtol=0, atol=1e-10)
