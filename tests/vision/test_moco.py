"""Backbones that have seen Sentinel-2. What stands in for the weights are random tensors under torchgeo's names."""

from pathlib import Path

import pytest
import timm
import torch
from torch import Tensor

from satclip.vision import MocoBackbone


@pytest.fixture
def resnet18_state() -> dict[str, Tensor]:
    """A whole ResNet-18 for 13 bands, its classifier too."""
    torch.manual_seed(3)
    state: dict[str, Tensor] = timm.create_model("resnet18", in_chans=13).state_dict()
    return state


def saved(state: object, path: Path) -> Path:
    torch.save(state, path)
    return path


def learning(tower: MocoBackbone) -> list[str]:
    """The weights that an optimiser would get."""
    return [key for key, weight in tower.named_parameters() if weight.requires_grad]


@pytest.mark.parametrize(("name", "width"), [("resnet18", 512), ("resnet50", 2048), ("vit16", 384)])
def test_each_backbone_takes_13_bands(name: str, width: int) -> None:
    tower = MocoBackbone(name, "none", in_channels=13, embedding_dim=16)
    assert tower.head.weight.shape == (16, width)
    assert tower(torch.rand(1, 13, 224, 224)).shape == (1, 16)


def test_trained_weights_are_frozen_unless_told_otherwise_and_random_ones_never(
    tmp_path: Path, resnet18_state: dict[str, Tensor]
) -> None:
    path, head = saved(resnet18_state, tmp_path / "moco.pth"), ["head.weight", "head.bias"]
    everything = [key for key, _ in MocoBackbone("resnet18", "none", embedding_dim=8).named_parameters()]
    assert learning(MocoBackbone("resnet18", path, embedding_dim=8)) == head
    assert learning(MocoBackbone("resnet18", path, embedding_dim=8, frozen=True)) == head
    assert learning(MocoBackbone("resnet18", path, embedding_dim=8, frozen=False)) == everything
    assert learning(MocoBackbone("resnet18", "none", embedding_dim=8)) == everything
    with pytest.raises(ValueError, match=r"frozen=true with vision\.weights=none .* give vision\.frozen=false"):
        MocoBackbone("resnet18", "none", embedding_dim=8, frozen=True)
    with pytest.raises(ValueError, match=r"vision\.frozen takes auto, true or false, got 'yes'"):
        MocoBackbone("resnet18", "none", embedding_dim=8, frozen="yes")


def test_weights_come_from_a_file_and_a_classifier_in_it_is_left_out(
    tmp_path: Path, resnet18_state: dict[str, Tensor]
) -> None:
    tower = MocoBackbone("resnet18", saved(resnet18_state, tmp_path / "moco.pth"), embedding_dim=8)
    for key, value in tower.backbone.state_dict().items():
        assert torch.equal(value, resnet18_state[key]), key


def test_moco_weights_come_from_the_cache_without_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resnet18_state: dict[str, Tensor]
) -> None:
    from torchgeo.models import ResNet18_Weights

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    saved(resnet18_state, cache / ResNet18_Weights.SENTINEL2_ALL_MOCO.url.rsplit("/", 1)[1])
    tower = MocoBackbone("resnet18", embedding_dim=8)
    assert torch.equal(tower.backbone.state_dict()["conv1.weight"], resnet18_state["conv1.weight"])


def test_without_network_the_error_names_ways_on_none_of_which_freezes_random_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nothing listens there
    with pytest.raises(ConnectionError, match=r"resnet18 from https") as caught:
        MocoBackbone("resnet18", embedding_dim=8)
    for way in ("give its path: vision.weights=PATH", "vision=tiny", "vision=resnet_clip or vit_clip", "trains all of"):
        assert way in str(caught.value)
    assert list(tmp_path.rglob("*.pth")) == []


def test_moco_weights_for_another_number_of_bands_are_refused_before_anything_is_fetched() -> None:
    with pytest.raises(ValueError, match=r"take 13 bands, got in_channels=3; .*vision.weights=none"):
        MocoBackbone("resnet18", in_channels=3, embedding_dim=8)


def test_keys_and_shapes_that_do_not_fit_are_named(tmp_path: Path, resnet18_state: dict[str, Tensor]) -> None:
    del resnet18_state["layer1.0.conv1.weight"]
    resnet18_state["surplus"] = torch.zeros(1)
    resnet18_state["bn1.weight"] = torch.zeros(65)
    path = saved(resnet18_state, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd\.pth does not fit") as caught:
        MocoBackbone("resnet18", path, embedding_dim=8)
    for part in (
        "layer1.0.conv1.weight is missing",
        "surplus is not part of the model",
        "bn1.weight has shape [65], not [64]",
    ):
        assert part in str(caught.value)


def test_a_file_of_another_network_names_some_keys_and_counts_the_rest(tmp_path: Path) -> None:
    path = saved(timm.create_model("vit_tiny_patch16_224").state_dict(), tmp_path / "vit.pth")
    with pytest.raises(ValueError, match=r"conv1.weight is missing; .*; and \d+ more\."):
        MocoBackbone("resnet18", path, embedding_dim=8)


@pytest.mark.parametrize(
    ("content", "message"), [([1, 2], "holds no state dict"), ({"a": 1}, "holds no state dict"), ({}, "holds no state")]
)
def test_a_torch_file_without_a_state_dict_is_refused(tmp_path: Path, content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MocoBackbone("resnet18", saved(content, tmp_path / "a.pth"), embedding_dim=8)


def test_a_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    path = saved({"weight": Path("/")}, tmp_path / "object.pth")  # any class beyond tensors and plain types
    with pytest.raises(ValueError, match="is not a readable file of tensors"):
        MocoBackbone("resnet18", path, embedding_dim=8)


def test_a_file_that_is_not_there_or_not_of_torch_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"vision.weights is moco, none, or the path"):
        MocoBackbone("resnet18", "mocco", embedding_dim=8)
    text = tmp_path / "text.pth"
    text.write_text("hello")
    with pytest.raises(ValueError, match="is not a readable file of tensors"):
        MocoBackbone("resnet18", text, embedding_dim=8)


def test_an_unknown_backbone_is_answered_with_the_list() -> None:
    with pytest.raises(ValueError, match="one of resnet18, resnet50, vit16, got 'vit32'; vision=timm takes any"):
        MocoBackbone("vit32", embedding_dim=8)


def test_the_transformer_takes_224_pixels_and_no_other() -> None:
    tower = MocoBackbone("vit16", "none", embedding_dim=8)
    with pytest.raises(ValueError, match=r"224 x 224 pixels, got 256 x 256"):
        tower(torch.rand(1, 13, 256, 256))


def test_a_backbone_can_be_frozen_later() -> None:
    tower = MocoBackbone("resnet18", "none", embedding_dim=8)
    tower.freeze()
    assert learning(tower) == ["head.weight", "head.bias"]
    assert not tower.train().backbone.training
