import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from satclip import SatCLIP, TwoTowers
from satclip.location.encoder import LocationEncoder
from satclip.location.encodings import REFERENCE, Cartesian3D
from satclip.location.networks import Linear
from satclip.vision import ClipResNet, ClipViT, MocoBackbone

README: dict[str, Any] = {
    "embed_dim": 512,
    "image_resolution": 224,
    "in_channels": 13,
    "vision_layers": 4,
    "vision_width": 768,
    "vision_patch_size": 32,
    "le_type": "sphericalharmonics",
    "pe_type": "siren",
    "legendre_polys": 10,
    "frequency_num": 16,
    "max_radius": 360,
    "min_radius": 1,
    "harmonics_calculation": "analytic",
}
SMALL = README | {"embed_dim": 8, "image_resolution": 32, "in_channels": 3, "vision_layers": 1, "vision_width": 64}


class Table(nn.Module):
    """Stands for an image tower: image i is its own embedding."""

    embedding_dim = 4

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def towers(dtype: torch.dtype = torch.float32, temperature: float = 0.07) -> TwoTowers:
    torch.manual_seed(0)
    return TwoTowers(Table(), LocationEncoder(Cartesian3D(), Linear, 4).to(dtype), temperature=temperature)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lonlat = torch.rand(6, 2, generator=generator) * torch.tensor([360.0, 180.0]) - torch.tensor([180.0, 90.0])
    return torch.randn(6, 1, 2, 2, generator=generator), lonlat


def test_the_snippet_of_the_published_readme_runs() -> None:
    model = SatCLIP(**README)
    images, places = torch.randn(2, 13, 224, 224), torch.randn(2, 2)
    with torch.no_grad():
        logits_per_image, logits_per_location = model(images, places)
        probabilities = logits_per_image.softmax(dim=-1)
    assert logits_per_image.shape == logits_per_location.shape == (2, 2)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(2))


def test_logits_are_cosine_similarities_over_the_temperature(batch: tuple[Tensor, Tensor]) -> None:
    model, (images, lonlat) = towers(temperature=0.1), batch
    per_image, per_location = model(images, lonlat)
    for i in range(6):
        for j in range(6):
            cosine = nn.functional.cosine_similarity(images[i].flatten(), model.encode_location(lonlat)[j], dim=0)
            assert per_image[i, j].item() == pytest.approx(cosine.item() / 0.1, abs=1e-5)
    assert torch.equal(per_location, per_image.T)


def test_the_temperature_starts_at_seven_hundredths_and_learns(batch: tuple[Tensor, Tensor]) -> None:
    model = towers()
    assert model.logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    model(*batch)[0].sum().backward()
    assert model.logit_scale.grad is not None


def test_the_location_tower_may_be_float64_beside_float32_images(batch: tuple[Tensor, Tensor]) -> None:
    wide, narrow = towers(torch.float64), towers(torch.float32)
    narrow.load_state_dict(wide.state_dict())
    assert wide.encode_location(batch[1]).dtype == torch.float64
    assert wide(*batch)[0].dtype == torch.float32
    torch.testing.assert_close(wide(*batch)[0], narrow(*batch)[0], rtol=1e-5, atol=1e-5)


def test_half_precision_of_the_towers_does_not_round_the_logits(batch: tuple[Tensor, Tensor]) -> None:
    model = SatCLIP(**SMALL).eval()
    images, lonlat = torch.rand(6, 3, 32, 32), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images, lonlat)[0]
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, logits.bfloat16().float())


def test_an_embedding_of_zeros_gives_no_nan() -> None:
    per_image, _ = towers()(torch.zeros(2, 1, 2, 2), torch.zeros(2, 2))
    assert torch.equal(per_image, torch.zeros(2, 2))


def test_whole_numbers_are_not_taken_for_reflectance(batch: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match=r"images must be reflectance in floats \(DN / 10000 .*got torch.uint16"):
        towers()(torch.zeros(2, 1, 2, 2, dtype=torch.uint16), batch[1][:2])


def test_towers_that_cannot_meet_are_refused() -> None:
    with pytest.raises(ValueError, match="image tower gives 4 numbers, the location tower 5; build both with the same"):
        TwoTowers(Table(), LocationEncoder(Cartesian3D(), Linear, 5))


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="temperature must be positive, got"):
        towers(temperature=temperature)


@pytest.mark.parametrize("le_type", sorted(REFERENCE))
@pytest.mark.parametrize("pe_type", ["siren", "mlp", "fcnet", "linear"])
def test_every_pair_of_the_published_names_can_be_built(le_type: str, pe_type: str) -> None:
    model = SatCLIP(**SMALL | {"le_type": le_type, "pe_type": pe_type})
    assert model.location_encoder.encoding.name == le_type
    assert model.location_encoder.network.name == pe_type
    assert model(torch.rand(2, 3, 32, 32), torch.zeros(2, 2))[0].shape == (2, 2)


def test_the_published_defaults_of_the_location_network() -> None:
    config = SatCLIP(**SMALL).location_encoder.config()["network"]
    assert config == {
        "name": "siren",
        "hidden_dim": 256,
        "hidden_layers": 2,
        "first_omega": 30.0,
        "hidden_omega": 1.0,
        "dropout": 0.5,
    }


def test_hidden_layers_of_a_new_mlp_are_not_shared() -> None:
    config = SatCLIP(**SMALL | {"pe_type": "mlp"}).location_encoder.config()
    assert config["network"]["shared_hidden"] is False


@pytest.mark.parametrize(
    ("vision_layers", "tower"),
    [
        ((1, 1, 1, 1), ClipResNet),
        ([1, 1, 1, 1], ClipResNet),
        (2, ClipViT),
        ("moco_resnet18", MocoBackbone),
    ],
)
def test_vision_layers_choose_the_image_tower(vision_layers: Any, tower: type[nn.Module]) -> None:
    options = {"vision_layers": vision_layers, "in_channels": 13, "vision_width": 64}
    model = SatCLIP(**SMALL | options, pretrained=False)
    assert type(model.vision) is tower
    assert model.visual is model.vision
    assert model.location is model.location_encoder


def test_the_published_heads() -> None:
    assert SatCLIP(**SMALL | {"vision_width": 128}).vision.transformer["resblocks"][0].attn.num_heads == 2
    assert SatCLIP(**SMALL | {"vision_layers": (1, 1, 1, 1)}).vision.attnpool.heads == 32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"le_type": "geohash"}, "le_type must be one of direct, cartesian3d, .*, got 'geohash'"),
        ({"pe_type": "kan"}, "pe_type must be one of siren, mlp, fcnet, linear, got 'kan'"),
        ({"vision_layers": "resnet18"}, "one of moco_resnet18, moco_resnet50, moco_vit16, four .*, got 'resnet18'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_choices(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SatCLIP(**SMALL | options)


def test_a_misspelt_keyword_is_an_error() -> None:
    with pytest.raises(TypeError, match="legendre_poly"):
        SatCLIP(**SMALL, legendre_poly=3)
