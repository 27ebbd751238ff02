"""The vectors of every encoder at every set of places, computed once."""

import logging
import os
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

import satclip
from satclip.downstream.contract import Array, Places
from satclip.files import atomic_file

log = logging.getLogger(__name__)
MOST_BYTES = 2**30
SMALLEST = 1e-100  # whose square is still a number
_WRITING = Lock()
Vectors = NDArray[np.floating]


class VectorCache:
    """Keeps vectors by what they depend on: the encoder's `fingerprint` and the bytes of the places.

    An encoder without a fingerprint is known by its object, and its vectors are kept in memory only.

    On disk they are kept under the code of this version as well: what computes them may change. Several processes may
    use one folder; a file appears whole, and one that another process has just taken away is recomputed.

    Args:
        folder: keeps vectors from run to run; made if missing. None: in memory only.
        most_bytes: that the folder holds; those that were used longest ago are taken away.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES) -> None:
        self.folder, self.most_bytes = folder, most_bytes
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
        name = blake2b(f"{_code()} {fingerprint} {where}".encode(), digest_size=16).hexdigest()
        path = self.folder / f"{name}.npy"
        try:
            found: Vectors = np.load(path, allow_pickle=False)
            os.utime(path)  # used last
            return _checked(encoder.name, found, len(lonlat))
        except FileNotFoundError:
            pass
        except (ValueError, EOFError, OSError) as error:
            log.warning("ignoring unreadable vectors %s (%s); computing them anew", path, error)
        vectors = _computed(encoder, lonlat)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # What is written beside the file is named after the process, so one thread at a time.
            with _WRITING, atomic_file(path) as part, part.open("wb") as file:
                np.save(file, vectors, allow_pickle=False)
            self._make_room(path)
        except OSError as error:
            log.warning("vectors are not kept in %s: %s", self.folder, error)
            self.folder = None
        return vectors

    def _make_room(self, newest: Path) -> None:
        """Take away what was used longest ago, never what has just been written."""
        assert self.folder is not None
        kept: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*.npy"):
            with suppress(FileNotFoundError):  # another process has taken it away
                kept.append(((about := path.stat()).st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in kept)
        for _, size, path in sorted(kept):
            if total <= self.most_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size


def cache_folder() -> Path:
    """Where vectors are kept from run to run: SATCLIP_CACHE, else ~/.cache/satclip, and in it `vectors`."""
    return Path(os.environ.get("SATCLIP_CACHE") or "~/.cache/satclip").expanduser() / "vectors"


@lru_cache(maxsize=1)
def _code() -> str:
    """A hash of this package's own code: vectors of other code are never taken for its own."""
    digest = blake2b(digest_size=16)
    for path in sorted(Path(satclip.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _computed(encoder: Places, lonlat: Array) -> Vectors:
    return _checked(encoder.name, np.array(encoder(lonlat)), len(lonlat))


def _checked(name: str, vectors: Vectors, rows: int) -> Vectors:
    shaped = vectors.ndim == 2 and len(vectors) == rows and vectors.shape[1] > 0
    if not shaped or not np.issubdtype(vectors.dtype, np.floating):
        raise ValueError(
            f"{name}: {rows} places must give float [{rows}, D], got {vectors.dtype} {vectors.shape}; mend it"
        )
    bad = ~np.isfinite(vectors).all(1)
    if bad.any():
        raise ValueError(
            f"{name}: vectors of {int(bad.sum())} of {rows} places are NaN or infinite; its training diverged (lower "
            "optimizer.lr), or the places lie outside its range"
        )
    largest = float(np.abs(vectors).max(initial=0))
    if largest and not SMALLEST < largest < 1 / SMALLEST:
        raise ValueError(f"{name}: its largest number is {largest:g}, whose square is none; bring the vectors near 1")
    return vectors
