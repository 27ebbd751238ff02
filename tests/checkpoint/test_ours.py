"""Our own checkpoints: what is saved is what is loaded."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from satclip.checkpoint import describe, get_satclip, load_location_encoder, load_towers
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import ENCODINGS
from satclip.location.networks import NETWORKS
from satclip.model import TwoTowers
from satclip.vision import TinyCNN

Save = Callable[..., Path]
VISION = {"_target_": "satclip.vision.TinyCNN", "width": 8, "in_channels": 3, "embedding_dim": 5}


@pytest.fixture
def towers() -> TwoTowers:
    torch.manual_seed(0)
    network = partial(NETWORKS["siren"], hidden_dim=8)
    encoder = LocationEncoder(ENCODINGS["sphericalharmonics"](legendre_polys=4), network, 5)
    return TwoTowers(TinyCNN(width=8, in_channels=3, embedding_dim=5), encoder).eval()


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes what the training module writes; `change` edits it first."""

    def write(towers: TwoTowers, change: Callable[[dict[str, Any]], object] = lambda content: None) -> Path:
        content = {
            "state_dict": {f"model.{name}": tensor for name, tensor in towers.state_dict().items()},
            "satclip": {
                "format": 1,
                "version": "0.1.0",
                "location_encoder": towers.location_encoder.config(),
                "vision": dict(VISION),
            },
            "epoch": 7,
            "global_step": 90,
            "optimizer_states": [{"state": {}, "param_groups": [{"lr": 1e-3}]}],
        }
        content["state_dict"]["loss.bias"] = torch.zeros(())  # a loss may have weights of its own
        change(content)
        torch.save(content, tmp_path / "ours.ckpt")
        return tmp_path / "ours.ckpt"

    return write


def test_what_the_training_module_saves_is_what_is_loaded(towers: TwoTowers, tmp_path: Path, lonlat: Tensor) -> None:
    from satclip.loss import ClipLoss
    from satclip.training.module import ContrastiveModule
    from satclip.training.optim import adamw

    module = ContrastiveModule(towers.location_encoder, towers.vision, ClipLoss(), adamw)
    module.recipe = {"config": {"seed": 0}, "vision": VISION}
    content: dict[str, Any] = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, tmp_path / "last.ckpt")
    images = torch.rand(4, 3, 32, 32)
    again = load_towers(tmp_path / "last.ckpt")
    assert torch.equal(again(images, lonlat)[0], towers(images, lonlat)[0])


@pytest.mark.parametrize(
    ("le_type", "pe_type"),
    [
        (le, pe)
        for le in sorted(ENCODINGS)
        for pe in sorted(NETWORKS)
        if pe != "banded_siren" or le == "sphericalharmonics"
    ],
)
def test_every_encoding_and_network_comes_back_the_same(
    le_type: str, pe_type: str, save: Save, lonlat: Tensor, towers: TwoTowers
) -> None:
    encoder = LocationEncoder(ENCODINGS[le_type](), NETWORKS[pe_type], 5).eval()
    again = load_location_encoder(save(TwoTowers(towers.vision, encoder)))
    assert again.config() == encoder.config()
    assert torch.equal(again(lonlat), encoder(lonlat))


def test_both_towers_come_back_the_same(towers: TwoTowers, save: Save, lonlat: Tensor) -> None:
    again = get_satclip(save(towers), "cpu", return_all=True)
    images = torch.rand(4, 3, 32, 32)
    assert torch.equal(again(images, lonlat)[0], towers(images, lonlat)[0])
    assert not again.training


@pytest.mark.parametrize(
    "vision",
    [
        {"_target_": "satclip.vision.MocoBackbone", "name": "resnet18", "weights": "moco"},
        {"_target_": "satclip.vision.MocoBackbone", "name": "resnet18", "weights": "none", "frozen": True},
        {"_target_": "satclip.vision.MocoBackbone", "name": "resnet18", "weights": "none", "frozen": "auto"},
        {"_target_": "satclip.vision.TimmBackbone", "name": "resnet10t", "pretrained": True},
        {"_target_": "satclip.vision.TimmBackbone", "name": "resnet10t", "pretrained": True, "frozen": True},
    ],
)
def test_a_backbone_comes_back_as_frozen_as_it_was_without_fetching_anything(
    vision: dict[str, Any], towers: TwoTowers, save: Save, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from satclip.vision.restore import described_tower

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    node = vision | {"in_channels": 13, "embedding_dim": 5}
    path = save(
        TwoTowers(described_tower(node), towers.location_encoder),
        lambda content: content["satclip"].update(vision=node),
    )
    again = load_towers(path)
    assert again.encode_image(torch.rand(1, 13, 64, 64)).shape == (1, 5)
    head_alone = vision.get("frozen") is True or vision.get("weights") == "moco"
    assert all(weight.requires_grad != head_alone for weight in again.vision.backbone.parameters())


def test_a_tower_that_is_not_ours_is_not_built(towers: TwoTowers, save: Save) -> None:
    def replace(content: dict[str, Any]) -> None:
        content["satclip"]["vision"] = {"_target_": "os.system", "command": "true"}

    path = save(towers, replace)
    with pytest.raises(ValueError, match=r"the image tower is os.system, none of .*TinyCNN.*load_location_encoder"):
        load_towers(path)
    assert load_location_encoder(path).embedding_dim == 5


def test_options_of_another_version_are_named(towers: TwoTowers, save: Save) -> None:
    path = save(towers, lambda content: content["satclip"]["vision"].update(colour="red"))
    with pytest.raises(ValueError, match=r"TinyCNN does not take the options .*'colour'"):
        load_towers(path)


def test_a_description_says_what_is_in_the_file(towers: TwoTowers, save: Save) -> None:
    path = save(towers)
    described = describe(path)
    assert described["source"] == str(path)
    assert described["kind"] == "satclip checkpoint"
    assert described["encoding"] == towers.location_encoder.config()["encoding"]
    assert described["network"]["name"] == "siren"
    assert (described["embedding_dim"], described["dtype"]) == (5, "float32")
    assert described["parameters"] == 16 * 8 + 8 + 8 * 8 + 8 + 8 * 5 + 5
    assert described["vision"] == VISION
    assert (described["epoch"], described["global_step"], described["version"]) == (7, 90, "0.1.0")
    assert described["temperature"] == pytest.approx(0.07)


def test_weights_that_do_not_fit_are_named(towers: TwoTowers, save: Save) -> None:
    def spoil(content: dict[str, Any]) -> None:
        state = content["state_dict"]
        del state["model.location_encoder.network.last.bias"]
        state["model.location_encoder.network.surplus"] = torch.zeros(1)
        state["model.location_encoder.network.first.bias"] = torch.zeros(9)
        del state["model.vision.head.bias"]

    path = save(towers, spoil)
    with pytest.raises(ValueError, match=r"ours\.ckpt does not fit") as caught:
        load_location_encoder(path)
    for part in ("network.last.bias is missing", "network.surplus is not part", "first.bias has shape [9], not [8]"):
        assert part in str(caught.value)


def test_an_image_tower_that_does_not_fit_is_named_and_the_location_tower_still_loads(
    towers: TwoTowers, save: Save
) -> None:
    path = save(towers, lambda content: content["state_dict"].pop("model.vision.head.bias"))
    with pytest.raises(ValueError, match=r"vision.head.bias is missing"):
        load_towers(path)
    assert load_location_encoder(path).embedding_dim == 5


@pytest.mark.parametrize("key", ["encoding", "network", "embedding_dim"])
def test_a_description_that_lacks_a_part_is_refused(towers: TwoTowers, save: Save, key: str) -> None:
    path = save(towers, lambda content: content["satclip"]["location_encoder"].pop(key))
    with pytest.raises(ValueError, match=f"describes no location encoder .*{key}"):
        load_location_encoder(path)
