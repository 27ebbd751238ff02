"""Some pictures, and where on Earth the model looks for them."""

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from torch import Tensor

from satclip.plots.world import frame, map_positions, save
from satclip.sphere import great_circle_km

EXAMPLES, FOUND = 6, 5
TRUE, GUESS = "#d1495b", "#00798c"


def spread(count: int) -> Tensor:
    """The rows to show: six of `count`, evenly spread."""
    return torch.arange(min(EXAMPLES, count)) * count // min(EXAMPLES, count)


def search_examples(
    images: Tensor,
    shown: Tensor,
    lonlat: Tensor,
    pictures: Tensor,
    locations: Tensor,
    path: Path,
    *,
    rgb: Sequence[int] = (0, 1, 2),
) -> Path:
    """Validation patches, each beside the five places among all of them that answer it best. Returns `path`.

    Args:
        images: the patches to show [K, C, H, W].
        shown: their rows among the places, [K].
        lonlat: all places, degrees [N, 2]; the candidates.
        pictures: image embeddings of the patches [K, D].
        locations: location embeddings of all places [N, D].
        path: where the picture goes.
        rgb: channels that are red, green and blue.
    """
    count = len(lonlat)
    found, rank = searched(pictures, locations, shown)
    figure = Figure((10, 2.1 * len(shown)), dpi=110, layout="constrained")
    grid = GridSpec(len(shown), 2, figure=figure, width_ratios=(1, 3))
    for line, (row, places) in enumerate(zip(shown.tolist(), found, strict=True)):
        patch, world = figure.add_subplot(grid[line, 0]), figure.add_subplot(grid[line, 1])
        channels = list(rgb) if max(rgb) < images.shape[1] else [0]
        patch.imshow(_stretched(images[line][channels]).numpy())
        patch.set_axis_off()
        frame(world)
        true, guesses = map_positions(lonlat[row : row + 1].numpy()), map_positions(lonlat[places].numpy())
        world.scatter(
            guesses[:, 0], guesses[:, 1], s=26, c=GUESS, marker="o", zorder=6, edgecolors="white", linewidths=0.5
        )
        world.scatter(true[:, 0], true[:, 1], s=70, c=TRUE, marker="x", zorder=7)
        km = great_circle_km(lonlat[row : row + 1], lonlat[places[:1]]).item()
        world.set_title(
            f"its own place (cross) is number {int(rank[line]):,} of {count:,}; the first is {km:,.0f} km off",
            fontsize=8,
        )
    return save(figure, path)


def searched(pictures: Tensor, locations: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """The places that answer pictures [K, D] of rows `shown` [K] best, [K, 5], and the rank of each one's own, [K]."""
    alike = F.normalize(pictures.float(), dim=-1) @ F.normalize(locations.float(), dim=-1).T
    rank = (alike > alike.gather(1, shown[:, None])).sum(1) + 1
    return alike.topk(min(FOUND, len(locations))).indices, rank


def _stretched(patch: Tensor) -> Tensor:
    """Channels [3, H, W] or [1, H, W] from the 2nd to the 98th percentile of the patch: [H, W, 3]."""
    values = patch.float()
    low, high = torch.quantile(values.flatten(), torch.tensor([0.02, 0.98]))
    bright = ((values - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    colours: Tensor = bright.expand(3, -1, -1).permute(1, 2, 0)
    return colours
