"""Look at every patch of a data set and say what is wrong with it.

    python scripts/check_shards.py data/s2_100k

Writes OUT/report.json, a map of the places (OUT/map.png) and a sheet of patches (OUT/patches.png); ends with 1 when
something is wrong.
"""

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.optional_import import remedy

try:
    from PIL import Image, ImageDraw

    from satclip.data.batches.bad_patches import in_words
    from satclip.data.geotiff.bands import SENTINEL2_L2A
    from satclip.data.geotiff.decode import decode, decoding
    from satclip.data.geotiff.pixels import BadPatchError
    from satclip.data.prepare.check import check
    from satclip.data.prepare.findings import Report
    from satclip.data.sources.protocol import Source
    from satclip.data.split.rule import SPLITS, Split
    from satclip.hashing import shuffled
    from satclip.plots.projection import project
    from satclip.plots.world import CENTRAL_MERIDIAN, save, world
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")


ACROSS, DOWN, SIDE = 8, 6, 128  # patches of the sheet, pixels of each


def draw_map(places: Tensor, troubled: NDArray[np.bool_], path: Path) -> None:
    """All places, those of patches with some trouble in red."""
    figure, axes = world(np.full((180, 360, 3), 0.88))
    known = ~places.isnan().any(-1).numpy()
    turned = places.numpy().copy()
    turned[:, 0] = (turned[:, 0] - CENTRAL_MERIDIAN + 180) % 360 - 180
    dot = float(np.clip(20_000 / max(1, len(places)), 0.5, 12.0))
    for chosen, colour, size in ((known & ~troubled, "#1f6f8b", dot), (known & troubled, "#d1495b", 3 * dot)):
        x, y = project(turned[chosen]).T
        axes.scatter(x, y, s=size, c=colour, linewidths=0, zorder=5)
    save(figure, path)


def draw_sheet(source: Source, bands: int, path: Path) -> int:
    """A sheet of patches in natural colours, each stretched between its own percentiles; returns how many there are.

    Where none can be drawn the sheet says so, and why.
    """
    colours = (3, 2, 1) if bands >= 12 else tuple(range(min(3, bands)))
    sheet = Image.new("RGB", (ACROSS * SIDE, DOWN * SIDE), "white")
    pen, slot, refused = ImageDraw.Draw(sheet), 0, Counter[str]()
    with decoding():
        for row in shuffled(len(source.names), 0).tolist():
            try:
                pixels = decode(source.read(row), bands=bands)[list(colours)].astype(np.float32)
            except BadPatchError as error:
                refused[error.cause] += 1
                continue
            low, high = np.percentile(pixels, (2, 98))
            picture = np.clip((pixels - low) / max(high - low, 1.0) * 255, 0, 255).astype(np.uint8)
            picture = np.broadcast_to(picture, (3, *picture.shape[1:])) if len(picture) == 1 else picture[[0, 1, -1]]
            corner = (slot % ACROSS * SIDE, slot // ACROSS * SIDE)
            sheet.paste(Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).resize((SIDE, SIDE)), corner)
            pen.text(
                (corner[0] + 3, corner[1] + 2), source.names[row], fill="white", stroke_width=1, stroke_fill="black"
            )
            slot += 1
            if slot == ACROSS * DOWN:
                break
    if slot == 0:
        reasons = in_words(refused) or "there are none"
        pen.text((10, 50), f"none of {len(source.names)} patches can be drawn: {reasons}", fill="black", font_size=24)
    sheet.crop((0, 0, ACROSS * SIDE, -(-max(1, slot) // ACROSS) * SIDE)).save(path)
    return slot


def named(report: Report) -> set[str]:
    """The names of all patches that have some trouble."""
    return {name for found in report.troubles.values() for name, _ in found}


def main() -> None:
    """Read the options and check."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of *.tar, or of images/*.tif, with index.csv")
    parser.add_argument("--out", type=Path, help="folder for report and pictures (default: check_ and the root's name)")
    parser.add_argument("--bands", nargs="+", default=list(SENTINEL2_L2A), help="names of the bands in the files")
    parser.add_argument(
        "--split", choices=SPLITS, default="block", help="dataset.split, to compare footprints across it"
    )
    parser.add_argument("--val-fraction", type=float, default=0.1, help="dataset.val_fraction")
    parser.add_argument("--split-degrees", type=float, default=5.0, help="dataset.split_degrees")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    try:
        split = Split(options.split, options.val_fraction, options.split_degrees)
        report, source, places = check(options.root, options.bands, options.threads, split)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    out: Path = options.out or Path(f"check_{options.root.absolute().name}")
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report.as_dict(), indent=1))
    troubled = named(report)
    draw_map(places, np.array([name in troubled for name in source.names], dtype=bool), out / "map.png")
    drawn = draw_sheet(source, len(options.bands), out / "patches.png")
    print("\n".join(report.lines()))
    if drawn == 0:
        print(f"no patch could be drawn; --bands names the bands in the files, now {len(options.bands)} of them")
    print(f"report and pictures: {out.absolute()}")
    sys.exit(0 if report.healthy else 1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
