"""The data of the main job: patches of NASA's Blue Marble, written where they are not there yet."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from satclip.data.datamodule import S2DataModule
from satclip.data.geotiff.bands import RGB
from satclip.data.prepare.blue_marble import write_blue_marble
from satclip.data.prepare.blue_marble_patches import Recipe

# Where the defaults of the main job's data differ from those of Sentinel-2's.
DEFAULTS: dict[str, Any] = {
    "bands": RGB,  # of one scale
    "file_bands": RGB,
    "scale": 255.0,
    "image_size": 32,
    "num_workers": 0,
    "keep_in_memory": True,
    "flips": False,
    "blur_sigma": None,
    "jitter_degrees": 0.0,
}


class BlueMarbleDataModule(S2DataModule):
    """Patches of NASA's Blue Marble, written under `root` when they are first asked for.

    Args:
        root: the data set's own folder.
        places: patches to cut.
        patch_size: pixels of a patch.
        kilometres_per_pixel: ground that a pixel covers.
        scales: times that ground: [1, 8] cuts each place twice, its surroundings eight times as wide the second time.
            The bands are then R, G, B, R8, G8, B8.
        options: as for `S2DataModule`, with the defaults above.

    Raises:
        ValueError: patches are smaller than their crops, which would be found when they have been written.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        places: int = 40_000,
        patch_size: int = 32,
        kilometres_per_pixel: float = 12.0,
        scales: Sequence[int] = (1,),
        **options: Any,
    ) -> None:
        self.recipe = Recipe(places, patch_size, kilometres_per_pixel, scales=tuple(scales))
        settings = {**DEFAULTS, "bands": self.recipe.bands, "file_bands": self.recipe.bands, **options}
        super().__init__(root, **settings)
        if (crop := settings["image_size"]) > patch_size:
            raise ValueError(
                f"dataset.image_size={crop} is more than the {patch_size} pixels of dataset.patch_size; give it as much"
            )

    def prepare_data(self) -> None:
        """Write the data set where it is not there yet, or was written to another recipe."""
        write_blue_marble(self.root, self.recipe)
