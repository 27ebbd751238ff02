"""CLIP's towers against timm's own, which reads the published parameter names."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from timm.models import byobnet, vision_transformer
from torch import nn

from satclip.vision import ClipResNet, ClipViT


def randomised(tower: nn.Module) -> nn.Module:
    """The tower in evaluation mode with random running statistics, so that no term can hide as a 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in tower.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.rand(tensor.shape, generator=generator)
            spread = max(tensor[0].numel(), 1) ** -0.5 if tensor.ndim > 1 else 0.2
            tensor.copy_(noise + 0.5 if name.endswith("running_var") else spread * (2 * noise - 1))
    return tower.eval()


def as_published(tower: nn.Module) -> dict[str, torch.Tensor]:
    return {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}


def test_the_transformer_computes_what_timm_computes_from_the_same_weights() -> None:
    ours = randomised(ClipViT(in_channels=5, embedding_dim=7, image_size=32, layers=2, width=128, patch_size=8))
    theirs = vision_transformer.VisionTransformer(
        img_size=32, patch_size=8, in_chans=5, num_classes=7, embed_dim=128, depth=2, num_heads=2, pre_norm=True,
        act_layer="quick_gelu", norm_layer=partial(nn.LayerNorm, eps=1e-5),
    )  # fmt: skip
    theirs.load_state_dict(vision_transformer._convert_openai_clip(as_published(ours), theirs))
    images = torch.randn(3, 5, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.eval()(images), rtol=1e-4, atol=1e-5)


def test_the_resnet_computes_what_timm_computes_from_the_same_weights() -> None:
    ours = randomised(ClipResNet(in_channels=5, embedding_dim=7, image_size=64, layers=(1, 2, 1, 1), width=16))
    small = replace(
        byobnet.model_cfgs["resnet50_clip"],
        blocks=tuple(
            byobnet.ByoBlockCfg(type="bottle", d=depth, c=width, s=stride, br=0.25)
            for depth, width, stride in ((1, 64, 1), (2, 128, 2), (1, 256, 2), (1, 512, 2))
        ),
        stem_chs=(8, 8, 16),
    )
    theirs = byobnet.ByobNet(small, num_classes=7, in_chans=5, img_size=64)
    theirs.load_state_dict(byobnet._convert_openai_clip(as_published(ours), theirs))
    images = torch.randn(3, 5, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs.eval()(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("tower", "options", "message"),
    [
        (ClipResNet, {"layers": (2, 2)}, "four block counts"),
        (ClipResNet, {"image_size": 16}, "at least 32, got 16"),
        (ClipResNet, {"heads": 3}, "multiple of the 3 heads"),
        (ClipViT, {"width": 100, "heads": 3}, "multiple of the 3 heads"),
        (ClipViT, {"image_size": 16}, "at least patch_size, got 16 and 32"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(tower: type[nn.Module], options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tower(in_channels=3, embedding_dim=8, **options)


@pytest.mark.parametrize("tower", [ClipResNet, ClipViT])
def test_an_image_of_another_size_is_refused_with_the_option_to_change(tower: type[nn.Module]) -> None:
    built = (
        tower(in_channels=3, embedding_dim=8, image_size=64, layers=1, width=64)
        if tower is ClipViT
        else tower(in_channels=3, embedding_dim=8, image_size=64, layers=(1, 1, 1, 1), width=8)
    )
    assert built(torch.randn(2, 3, 64, 64)).shape == (2, 8)
    with pytest.raises(ValueError, match=r"64 x 64 pixels, got 96 x 96; set dataset.image_size=64"):
        built(torch.randn(2, 3, 96, 96))


def test_gradients_reach_every_weight_of_the_transformer_and_of_the_resnet() -> None:
    for tower in (
        ClipViT(in_channels=3, embedding_dim=8, image_size=64, layers=2, width=64),
        ClipResNet(in_channels=3, embedding_dim=8, image_size=64, layers=(1, 1, 1, 1), width=8),
    ):
        tower(torch.randn(4, 3, 64, 64)).square().sum().backward()
        assert [name for name, weight in tower.named_parameters() if weight.grad is None] == []
