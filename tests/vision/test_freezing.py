"""Backbones that do not learn, and what tells their features from those of others."""

from pathlib import Path

import pytest
import torch

from satclip.vision import MocoBackbone, StatisticsTower, TimmBackbone, TinyCNN
from satclip.vision.freezing import features_identity

SIZES = {"in_channels": 3, "embedding_dim": 8}


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    """Of a training here: a tiny tower below model.vision., beside other weights."""
    tower = TinyCNN(**SIZES, width=4)
    tower(torch.rand(8, 3, 16, 16))
    state = {f"model.vision.{name}": tensor for name, tensor in tower.state_dict().items()}
    torch.save({"state_dict": {**state, "model.logit_scale": torch.tensor(1.0)}}, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


def test_a_tiny_cnn_takes_its_backbone_from_a_checkpoint_and_keeps_it(learned: Path) -> None:
    tower = TinyCNN(in_channels=3, embedding_dim=5, width=4, weights=learned).train()
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    saved = torch.load(learned, weights_only=True)["state_dict"]
    assert all(
        torch.equal(saved[f"model.vision.{name}"], value) for name, value in before.items() if "head" not in name
    )
    optimizer = torch.optim.SGD([weight for weight in tower.parameters() if weight.requires_grad], lr=1.0)
    tower(torch.rand(8, 3, 16, 16)).square().sum().backward()
    optimizer.step()
    changed = [name for name, tensor in tower.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["head.weight", "head.bias"]


def test_frozen_random_weights_and_other_towers_are_refused(learned: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would freeze random weights"):
        TinyCNN(**SIZES, frozen=True)
    with pytest.raises(ValueError, match=r"does not fit: .*same `vision` options"):
        TinyCNN(**SIZES, width=8, weights=learned)
    with pytest.raises(FileNotFoundError, match="is none, a checkpoint of a training, or a torch file"):
        TinyCNN(**SIZES, weights=tmp_path / "absent.ckpt")


def test_a_moco_backbone_takes_a_checkpoint_of_ours(tmp_path: Path) -> None:
    whole = MocoBackbone("resnet18", "none", **SIZES)
    state = {f"model.vision.{name}": tensor for name, tensor in whole.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "best.ckpt")
    tower = MocoBackbone("resnet18", tmp_path / "best.ckpt", **SIZES)
    assert tower.frozen
    assert features_identity(tower)["backbone"] == "timm/resnet18 of 3 bands"
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(tower.features(images), whole.eval().features(images))


def test_features_are_told_apart_by_weights_and_options_but_not_by_the_head(learned: Path) -> None:
    first = features_identity(TinyCNN(**SIZES, width=4, weights=learned))
    assert features_identity(TinyCNN(in_channels=3, embedding_dim=99, width=4, weights=learned)) == first
    assert features_identity(TinyCNN(**SIZES, width=4, shrink=1, weights=learned)) != first
    other = TinyCNN(**SIZES, width=4, weights=learned)
    other.standardise.running_mean += 1e-6
    assert features_identity(other)["weights"] != first["weights"]
    windows = [StatisticsTower(in_channels=3, embedding_dim=8, features=8, windows=each) for each in ((0.5,), (1.0,))]
    assert features_identity(windows[0]) != features_identity(windows[1])


def test_a_tower_that_learns_has_no_features_to_keep() -> None:
    for tower in (TinyCNN(**SIZES), TimmBackbone("resnet10t", **SIZES)):
        with pytest.raises(ValueError, match="learns, so its features change with every step"):
            features_identity(tower)


def test_statistics_are_a_head_on_features() -> None:
    tower = StatisticsTower(in_channels=3, embedding_dim=8, features=6).train()
    images = torch.rand(30, 3, 16, 16)
    copy = StatisticsTower(in_channels=3, embedding_dim=8, features=6).train()
    assert torch.equal(tower(images), copy.head(copy.features(images)))
    assert tower.features(images).shape == (30, 36)
