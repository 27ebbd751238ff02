"""Write patches (a folder of GeoTIFFs, or other shards) to new shards that are smaller and faster to read, losslessly.

    python scripts/write_shards.py data/s2_100k data/s2_100k_zstd
    python scripts/write_shards.py data/s2_100k data/without_africa --split continent --continent Africa

Train and validation lie in shards of their own; `dataset.root=OUT dataset.split=stored` trains on them as they are.
A run that was interrupted resumes where it stopped.
"""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from satclip.optional_import import remedy

try:
    from satclip import __version__
    from satclip.data.geotiff.bands import SENTINEL2_L2A
    from satclip.data.prepare.rewrite_shards import LEVEL, Rewriting, rewrite
    from satclip.data.sources.locate import DataLocation, Streamed
    from satclip.data.sources.places import place_patches
    from satclip.data.sources.protocol import Source
    from satclip.data.split.rule import Split
    from satclip.geography.countries import countries
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")


def choose(source: Source, lonlat: Tensor, rows: Tensor, options: argparse.Namespace) -> tuple[dict[str, Any], Tensor]:
    """What is held out, in words and as bool by row.

    Raises:
        ValueError: there is no such continent, or nothing of it.
    """
    places, names = lonlat[rows], [source.names[row] for row in rows.tolist()]
    if options.split == "none":
        return {"kind": "none"}, torch.zeros(len(rows), dtype=torch.bool)
    if options.split == "continent":
        found = countries().nearest_continent(places.numpy())
        held_out = torch.tensor([name.lower() == str(options.continent).lower() for name in found])
        if not held_out.any():
            raise ValueError(f"no patch in --continent {options.continent}; there are {', '.join(sorted(set(found)))}")
        return {"kind": "continent", "continent": options.continent}, held_out
    split = Split(options.split, options.val_fraction, options.degrees)
    about = {"kind": split.kind, "fraction": split.fraction, "degrees": split.degrees}
    return about, split.validation(places, names, source.held_out[rows])


def main() -> None:
    """Read the options and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of *.tar, or of images/*.tif, with index.csv")
    parser.add_argument("target", type=Path, help="new folder")
    parser.add_argument("--split", choices=("block", "random", "stored", "continent", "none"), default="block")
    parser.add_argument("--val-fraction", type=float, default=0.1)
    parser.add_argument("--degrees", type=float, default=5.0, help="side of a block")
    parser.add_argument("--continent", help="held out with --split continent, e.g. 'South America'")
    parser.add_argument("--seed", type=int, default=0, help="of the shuffle over shards")
    parser.add_argument("--per-shard", type=int, default=1000)
    parser.add_argument("--level", type=int, default=LEVEL, help="of ZSTD, 1 (fast to write and to read) to 22 (small)")
    parser.add_argument("--verify", type=int, default=5, help="patches of each shard that are compared with the source")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--bands", nargs="+", default=list(SENTINEL2_L2A), help="names of the bands in the files")
    parser.add_argument(
        "--max-bad-fraction", type=float, default=0.01, help="patches that may lack a place or be unreadable"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        source = DataLocation(options.source).find()
        assert not isinstance(source, Streamed)
        table = place_patches(source, options.source, options.max_bad_fraction)
        split, held_out = choose(source, table.lonlat, table.rows, options)
        how = Rewriting(
            split, options.bands, options.seed, options.per_shard, options.level, options.verify, __version__
        )
        manifest = rewrite(
            source, table.lonlat, table.rows, held_out, options.target, how, options.threads, options.max_bad_fraction
        )
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    size = sum(shard["bytes"] for shard in manifest["shards"])
    print(
        f"{options.target}: {manifest['patches']} patches ({manifest['validation']} for validation) in "
        f"{len(manifest['shards'])} shards, {size / 2**20:.0f} MiB; {len(manifest['left_out'])} skipped as unusable"
    )


if __name__ == "__main__":
    main()
