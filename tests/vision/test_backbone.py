"""timm's networks under a linear head; the smallest of them, because the promises are the same for all."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from satclip.vision import TimmBackbone


def frozen() -> TimmBackbone:
    """A backbone whose weights count as trained."""
    tower = TimmBackbone("resnet10t", in_channels=3, embedding_dim=8)
    tower.freeze()
    return tower


def test_random_weights_are_not_frozen() -> None:
    with pytest.raises(ValueError, match=r"frozen=true with vision\.pretrained=false .* give vision\.frozen=false"):
        TimmBackbone("resnet10t", in_channels=3, embedding_dim=8, frozen=True)


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_any_timm_network_takes_any_bands(name: str) -> None:
    tower = TimmBackbone(name, in_channels=5, embedding_dim=6)
    assert tower(torch.rand(2, 5, 224, 224)).shape == (2, 6)


def test_a_misspelt_name_is_answered_with_the_closest() -> None:
    with pytest.raises(ValueError, match=r"no network 'convnextt'; closest: convnext_tiny,"):
        TimmBackbone("convnextt", in_channels=3, embedding_dim=8)


def test_a_network_of_one_size_says_which() -> None:
    tower = TimmBackbone("vit_tiny_patch16_224", in_channels=3, embedding_dim=8)
    with pytest.raises(ValueError, match=r"224 x 224 pixels, got 64 x 64; set dataset.image_size=224"):
        tower(torch.rand(2, 3, 64, 64))


def test_the_wrong_number_of_bands_is_refused() -> None:
    tower = TimmBackbone("resnet10t", in_channels=13, embedding_dim=8)
    with pytest.raises(ValueError, match="13 bands, got 12"):
        tower(torch.rand(2, 12, 64, 64))


def test_a_frozen_backbone_does_not_change_when_it_trains() -> None:
    tower = frozen()
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    tower.train()
    optimizer = torch.optim.SGD(tower.parameters(), lr=1.0)
    tower(torch.rand(4, 3, 64, 64)).square().sum().backward()
    optimizer.step()
    changed = [name for name, tensor in tower.state_dict().items() if not torch.equal(tensor, before[name])]
    assert changed == ["head.weight", "head.bias"]


def test_a_frozen_backbone_stays_in_evaluation_mode_inside_another_module() -> None:
    model = nn.ModuleDict({"vision": frozen()}).train()
    assert model["vision"].training
    assert not any(module.training for module in model["vision"].backbone.modules())


def test_a_frozen_backbone_keeps_no_graph() -> None:
    tower = frozen()
    images = torch.rand(2, 3, 64, 64)
    assert not tower.features(images).requires_grad
    assert tower(images).requires_grad


def test_a_backbone_that_is_not_frozen_learns() -> None:
    tower = TimmBackbone("resnet10t", in_channels=3, embedding_dim=8)
    tower(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert all(weight.grad is not None for weight in tower.parameters())
    with torch.no_grad():
        assert not tower.features(torch.rand(2, 3, 64, 64)).requires_grad


def test_the_head_sees_the_features_that_can_be_cached() -> None:
    tower = frozen()
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(tower(images), tower.head(tower.features(images)))


def test_the_towers_without_timm_do_not_import_it() -> None:
    script = "import sys, satclip.vision; print(sorted({'timm', 'torchgeo', 'torchvision'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_tower_is_answered_with_the_list() -> None:
    import satclip.vision

    with pytest.raises(AttributeError, match=r"image towers: ClipResNet, .*StatisticsTower, .*TinyCNN"):
        satclip.vision.Typo  # noqa: B018 - reading it is the test
