"""The vectors of every encoder at every set of places, computed once."""

import logging
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Array, Places
from satclip.files import atomic_file

log = logging.getLogger(__name__)
Vectors = NDArray[np.floating]


class VectorCache:
    """Keeps vectors by what they depend on: the encoder's `fingerprint` and the bytes of the places.

    An encoder without a fingerprint is known by its object, and its vectors are kept in memory only.

    Args:
        folder: keeps vectors from run to run; made if missing. None: in memory only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._kept: dict[tuple[str | int, str], Vectors] = {}
        self._alive: dict[int, Places] = {}  # an id is taken again once its object is gone

    def __call__(self, encoder: Places, lonlat: Array) -> Vectors:
        """Vectors of places in degrees: [N, 2] -> [N, D], not to be written to.

        Raises:
            ValueError: when the encoder gives another number of rows, no matrix, or NaN or infinite numbers.
        """
        fingerprint: str | None = getattr(encoder, "fingerprint", None)
        places = np.ascontiguousarray(lonlat, dtype=np.float64)
        where = blake2b(places.tobytes(), digest_size=16).hexdigest()
        key = (id(encoder) if fingerprint is None else fingerprint, where)
        if key not in self._kept:
            self._alive[id(encoder)] = encoder
            vectors = self._from_disk(encoder, fingerprint, where, places)
            vectors.flags.writeable = False
            self._kept[key] = vectors
        return self._kept[key]

    def forget(self) -> None:
        """Give the memory back; what lies on disk stays."""
        self._kept.clear()
        self._alive.clear()

    def _from_disk(self, encoder: Places, fingerprint: str | None, where: str, lonlat: Array) -> Vectors:
        if self.folder is None or fingerprint is None:
            return _computed(encoder, lonlat)
        name = blake2b(f"{fingerprint} {where}".encode(), digest_size=16).hexdigest()
        path = self.folder / f"{name}.npy"
        if path.is_file():
            try:
                found: Vectors = np.load(path, allow_pickle=False)
                return _checked(encoder.name, found, len(lonlat))
            except (ValueError, EOFError, OSError) as error:
                log.warning("ignoring unreadable vectors %s (%s); computing them anew", path, error)
        vectors = _computed(encoder, lonlat)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part, part.open("wb") as file:
            np.save(file, vectors, allow_pickle=False)
        return vectors


def _computed(encoder: Places, lonlat: Array) -> Vectors:
    return _checked(encoder.name, np.array(encoder(lonlat)), len(lonlat))


def _checked(name: str, vectors: Vectors, rows: int) -> Vectors:
    if vectors.ndim != 2 or len(vectors) != rows or not np.issubdtype(vectors.dtype, np.floating):
        raise ValueError(f"{name}: {rows} places must give float [{rows}, D], got {vectors.dtype} {vectors.shape}")
    bad = ~np.isfinite(vectors).all(1)
    if bad.any():
        raise ValueError(
            f"{name}: vectors of {int(bad.sum())} of {rows} places are NaN or infinite; its training diverged (lower "
            "optimizer.lr), or the places lie outside its range"
        )
    return vectors
