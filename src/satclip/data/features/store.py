"""The store of features: one memory-mapped array a view, where each patch lies, and a manifest of what they are.

A folder with `manifest.json`, `index.csv` (lat, lon, fn, row, held_out) and arrays of one row a patch: `centre.npy`, of
the centre crop, and `view-000.npy` ... of augmented views. 100,000 patches of 384 numbers are 77 MB a view in float16.
View k is what a training with the same seed sees in epoch k.
"""

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.sphere import check_lonlat

MANIFEST, INDEX, CENTRE = "manifest.json", "index.csv", "centre"
COLUMNS = ("lat", "lon", "fn", "row", "held_out")
FORMAT = 1
DTYPES: dict[str, tuple[torch.dtype, str]] = {  # how numpy, which has no bfloat16, keeps each
    "float16": (torch.float16, "<f2"),
    "bfloat16": (torch.bfloat16, "<u2"),
    "float32": (torch.float32, "<f4"),
}
_BLOCK = 1 << 22


def view_name(number: int | None) -> str:
    """The array of an augmented view, or of the centre crop."""
    return CENTRE if number is None else f"view-{number:03d}"


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the store in `folder` says of itself.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"no features in {folder}: there is no {MANIFEST}; "
            f"`python scripts/cache_features.py vision=... dataset=... store={folder}` computes them"
        )
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        kind = manifest["format"], manifest["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no manifest of features ({type(error).__name__}); {_again(folder)}") from error
    if kind != (FORMAT, "features"):
        raise ValueError(f"{folder} holds {kind[1]} of format {kind[0]}, not features of {FORMAT}; {_again(folder)}")
    return manifest


class FeatureStore:
    """An opened store: `satclip.data.features.protocol.PlacedVectors`. Arrays are checked when they are first read.

    Raises:
        FileNotFoundError, ValueError: there is none, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sound: set[str] = set()  # files whose checksums have been compared
        self.facts: Mapping[str, Any] = read_manifest(folder)
        patches = self.facts["patches"]
        self.views, self.width_km, self.pixels = self.facts["views"], self.facts["width_km"], self.facts["pixels"]
        self.shard_sizes = list(self.facts["shard_sizes"])
        self.left_out = {**patches["left_out"], **patches["bad"]}
        self._check(INDEX)
        lines = _index(folder)
        self.rows = torch.tensor([int(line["row"]) for line in lines], dtype=torch.int64)
        if len(lines) != patches["written"]:
            raise ValueError(f"{folder / INDEX} has {len(lines)} rows, not {patches['written']}; {_again(folder)}")
        self.names, self.held_out = [""] * patches["rows"], torch.zeros(patches["rows"], dtype=torch.bool)
        self.lonlat = torch.full((patches["rows"], 2), torch.nan, dtype=torch.float64)
        self.lonlat[self.rows] = torch.tensor(
            [(float(line["lon"]), float(line["lat"])) for line in lines], dtype=torch.float64
        ).reshape(-1, 2)
        check_lonlat(self.lonlat[self.rows])
        self.held_out[self.rows] = torch.tensor([line["held_out"] == "1" for line in lines], dtype=torch.bool)
        for row, line in zip(self.rows.tolist(), lines, strict=True):
            self.names[row] = line["fn"]

    def view(self, number: int | None) -> Tensor:
        """The features of one view, memory-mapped: [M, K] in the store's own floats.

        Raises:
            ValueError: they are damaged, or not there.
        """
        name = f"{view_name(number)}.npy"
        self._check(name)
        dtype, kept = DTYPES[self.facts["dtype"]]
        # Copy-on-write, since torch warns of memory that it must not write to; nothing is ever written.
        array: NDArray[Any] = np.load(self.folder / name, mmap_mode="c", allow_pickle=False)
        shape = (len(self.rows), self.facts["dim"])
        if array.dtype != kept or array.shape != shape:
            raise ValueError(f"{self.folder / name} holds {array.dtype} {list(array.shape)}; {_again(self.folder)}")
        plain = array.view(np.int16) if dtype == torch.bfloat16 else array
        return torch.from_numpy(plain).view(dtype)

    def _check(self, name: str) -> None:
        path = self.folder / name
        if not path.is_file() or checksum(path) != self.facts["files"].get(name):
            raise ValueError(f"{path} is missing, or its checksum is not the manifest's; {_again(self.folder)}")


def _index(folder: Path) -> list[dict[str, str]]:
    with (folder / INDEX).open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


def _again(folder: Path) -> str:
    return f"remove {folder} and compute it again by scripts/cache_features.py"
