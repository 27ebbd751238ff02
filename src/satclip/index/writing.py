"""Writing a store piece by piece: a process that is killed leaves what it has done to the next one."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from satclip.files import atomic_file, atomic_folder
from satclip.index.store import ARRAYS, FORMAT, MANIFEST, checksum

PROGRESS = "progress.json"


class StoreWriter:
    """Rows for a store, kept beside it until all are there.

    Args:
        target: folder of the store.
        identity: what its rows follow from; the writer resumes what another process left only where it is the same.
        widths: numbers of a key and of a value.

    Raises:
        FileExistsError: `target` holds something else than a store.
    """

    def __init__(self, target: Path, identity: Mapping[str, Any], widths: Mapping[str, int]) -> None:
        if target.exists() and not (target.is_dir() and ((target / MANIFEST).is_file() or not any(target.iterdir()))):
            raise FileExistsError(f"{target} holds something else, which would be lost; name a new folder")
        self.target, self.identity, self.widths = target, dict(identity), {"lonlat": 2, **widths}
        self.part = target.with_name(f".{target.name}.partial")
        self.asked = self.written = 0
        self._resume()
        self._files: dict[str, BinaryIO] = {name: (self.part / f"{name}.raw").open("ab") for name in ARRAYS}

    def append(self, asked: int, **rows: NDArray[Any]) -> None:
        """Write rows of `lonlat`, `keys` and `values`, all that could be made of the next `asked` patches.

        Raises:
            ValueError: a number does not fit into the store's floats, or is none.
        """
        count = len(rows["lonlat"])
        for name, dtype in ARRAYS.items():
            with np.errstate(over="ignore"):
                values = np.ascontiguousarray(rows[name], dtype)
            if values.shape != (count, self.widths[name]):
                raise ValueError(f"{name} must be {[count, self.widths[name]]}, got {list(values.shape)}")
            if not np.isfinite(values).all():
                raise ValueError(f"the {name} of a patch are NaN or too large for {dtype}; the model is damaged")
            self._files[name].write(values.data)
            self._files[name].flush()
            os.fsync(self._files[name].fileno())
        self.asked, self.written = self.asked + asked, self.written + count
        with atomic_file(self.part / PROGRESS) as path:
            progress = {"identity": self.identity, "widths": self.widths, "asked": self.asked, "written": self.written}
            path.write_text(json.dumps(progress))

    def finish(self, **facts: Any) -> None:
        """Make the store of it: whole, or not there; `facts` go into the manifest."""
        self.close()
        with atomic_folder(self.target) as folder:
            for name, dtype in ARRAYS.items():
                with (folder / f"{name}.npy").open("wb") as file, (self.part / f"{name}.raw").open("rb") as raw:
                    header = {
                        "descr": np.dtype(dtype).str,
                        "fortran_order": False,
                        "shape": (self.written, self.widths[name]),
                    }
                    np.lib.format.write_array_header_1_0(file, header)
                    shutil.copyfileobj(raw, file, 1 << 22)
                    file.flush()
                    os.fsync(file.fileno())
            manifest = {
                "format": FORMAT,
                **self.identity,
                "asked": self.asked,
                "written": self.written,
                "key_dim": self.widths["keys"],
                "value_dim": self.widths["values"],
                **facts,
                "files": {f"{name}.npy": checksum(folder / f"{name}.npy") for name in ARRAYS},
            }
            with atomic_file(folder / MANIFEST) as path:
                path.write_text(json.dumps(manifest, indent=2) + "\n")
        shutil.rmtree(self.part)

    def close(self) -> None:
        """Let go of the files; what was written stays for the next process."""
        for file in self._files.values():
            file.close()

    def array(self, name: str) -> NDArray[Any]:
        """What has been written of `name` so far, memory-mapped: [written, width]."""
        path, shape = self.part / f"{name}.raw", (self.written, self.widths[name])
        return np.memmap(path, ARRAYS[name], "r", shape=shape) if self.written else np.zeros(shape, ARRAYS[name])

    def _resume(self) -> None:
        """Take over what another process has written for the same store, cut to what it has counted."""
        try:
            progress = json.loads((self.part / PROGRESS).read_text())
            if progress["identity"] != self.identity or progress["widths"] != self.widths:
                raise ValueError("of another store")
            self.asked, self.written = int(progress["asked"]), int(progress["written"])
            for name, dtype in ARRAYS.items():
                size = self.written * self.widths[name] * np.dtype(dtype).itemsize
                path = self.part / f"{name}.raw"
                if path.stat().st_size < size:
                    raise ValueError("shorter than counted")
                os.truncate(path, size)
        except (OSError, ValueError, KeyError, TypeError):
            self.asked = self.written = 0
            shutil.rmtree(self.part, ignore_errors=True)
            self.part.mkdir(parents=True)
