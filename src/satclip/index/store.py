"""The store of training patches: places, keys and values as memory-mapped arrays, and a manifest of what they are.

A folder with `manifest.json` and three arrays of one row a patch: `lonlat.npy`, float64 [M, 2] degrees; `keys.npy`,
float16 [M, D], image embeddings of length one, in the space that they share with the encoder's; `values.npy`, float16
[M, V], what the image tower sees before its head. 40,000 patches of 512 and 512 numbers are 82 MB.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from satclip.location.encoder import LocationEncoder
from satclip.weights import printable

MANIFEST = "manifest.json"
ARRAYS: dict[str, str] = {"lonlat": "float64", "keys": "float16", "values": "float16"}
FORMAT = 1
_BLOCK = 1 << 22  # bytes hashed at a time
_LARGEST_MANIFEST = 2**20


@dataclass(frozen=True)
class Store:
    """An opened store.

    Attributes:
        folder: where it lies.
        lonlat: places in degrees, float64 [M, 2].
        keys: unit image embeddings, float16 [M, D].
        values: image features, float16 [M, V].
        manifest: what they are of.
    """

    folder: Path
    lonlat: NDArray[np.float64]
    keys: NDArray[np.float16]
    values: NDArray[np.float16]
    manifest: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.lonlat)

    @property
    def fingerprint(self) -> str:
        """Names its contents."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    def check_encoder(self, encoder: LocationEncoder) -> None:
        """Refuse an encoder whose space is not that of the keys.

        Raises:
            ValueError: the store was built for another one.
        """
        if self.manifest["encoder"] != fingerprint(encoder):
            raise ValueError(
                f"{self.folder} was built for another encoder ({printable(self.manifest.get('source'))}); give that "
                "one, or build a store for this: satclip index SOURCE -o STORE"
            )


def fingerprint(encoder: LocationEncoder) -> str:
    """A hash of an encoder's description and weights, the same in whatever float it computes."""
    digest = hashlib.sha256(json.dumps(encoder.config(), sort_keys=True).encode())
    for name, tensor in encoder.state_dict().items():
        digest.update(f"{name} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def open_store(folder: Path) -> Store:
    """The store in `folder`, memory-mapped, once its files are as long and as the manifest says.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged or of another kind; says what to do.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"no store in {folder}: there is no {MANIFEST}; satclip index SOURCE -o {folder}")
    again = f"build it again: satclip index SOURCE -o {folder}"
    try:
        manifest = json.loads(path.read_bytes()[:_LARGEST_MANIFEST])
        count, widths = (
            int(manifest["written"]),
            {"lonlat": 2, "keys": manifest["key_dim"], "values": manifest["value_dim"]},
        )
        files, kind = dict(manifest["files"]), manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no manifest of a store ({type(error).__name__}); {again}") from error
    if kind != FORMAT:
        raise ValueError(f"{folder} is a store of format {printable(kind)}, this version reads {FORMAT}; {again}")
    arrays = {
        name: _array(folder / f"{name}.npy", dtype, (count, widths[name]), again) for name, dtype in ARRAYS.items()
    }
    for name in ARRAYS:
        if checksum(folder / f"{name}.npy") != files.get(f"{name}.npy"):
            raise ValueError(f"{folder / name}.npy is damaged (its checksum differs from the manifest's); {again}")
    return Store(folder, manifest=manifest, **arrays)


def _array(path: Path, dtype: str, shape: tuple[int, int], again: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path} cannot be read ({error}); {again}") from error
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{path} holds {array.dtype} {list(array.shape)}, not {dtype} {list(shape)}; {again}")
    return array
