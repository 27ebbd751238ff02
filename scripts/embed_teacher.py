"""Write another encoder's vectors at places over land: a teacher for `dataset=features vision=teacher`.

    python scripts/embed_teacher.py geoclip -o data/geoclip.npy
    python scripts/embed_teacher.py microsoft/SatCLIP-ViT16-L40 -o data/satclip.npy --places 100000
    python train.py experiment=distil_geoclip

The teacher is anything that `satclip evaluate` takes. Beside FILE.npy, float32 [N, K], lies
FILE.csv (lon, lat) with its rows.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from satclip.optional_import import remedy

try:
    from satclip.data.prepare.blue_marble import land_places, load_land
    from satclip.downstream.contract import Predictor
    from satclip.downstream.rivals.parse import source
    from satclip.downstream.rivals.tuned import Tuned
    from satclip.files import atomic_file
except ModuleNotFoundError as error:
    sys.exit(f"error: {remedy(error) or error}")

CHUNK = 4096


def main() -> None:
    """Read the options, embed and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher", help="geoclip, a checkpoint, a name on the hub, ...")
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write, .npy")
    parser.add_argument("--places", type=int, default=40_000, help="evenly over land, 56 degrees south to 84 north")
    options = parser.parse_args()
    if options.output.suffix != ".npy" or options.places < 1:
        parser.error("give -o FILE.npy, and --places of 1 or more")
    try:
        teacher = source(options.teacher)
        if isinstance(teacher, Tuned | Predictor):
            raise ValueError(f"{options.teacher} gives no fixed vectors; give one encoder")
        lonlat = land_places(options.places, load_land()).numpy()
        parts = [teacher(lonlat[first : first + CHUNK]) for first in range(0, len(lonlat), CHUNK)]
        vectors = np.concatenate(parts).astype(np.float32)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(options.output.with_suffix(".csv")) as path, path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("lon", "lat"))
            writer.writerows(lonlat.tolist())
        with atomic_file(options.output) as path, path.open("wb") as stream:
            np.save(stream, vectors)
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")
    print(f"{options.output}: {vectors.shape[0]} places, {vectors.shape[1]} numbers of {options.teacher}")


if __name__ == "__main__":
    main()
