"""Features in parts: each is whole or not there, so that a run that was killed loses no more than the one it was at."""

import csv
import json
import logging
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from satclip.data.batches.bad_patches import BadPatch
from satclip.data.features.store import COLUMNS, DTYPES, FORMAT, INDEX, MANIFEST, checksum, view_name
from satclip.files import atomic_file, atomic_folder

log = logging.getLogger(__name__)
IDENTITY = "identity.json"
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """The features of some rows.

    Attributes:
        rows: int64 [n], those that could be read.
        views: by the name of the array, [n, K] in the store's floats.
        bad: the patches that could not.
    """

    rows: Tensor
    views: Mapping[str, Tensor]
    bad: Sequence[BadPatch]


class Parts:
    """A store on its way: parts beside `target`, put together when all are there.

    Args:
        target: folder of the store.
        identity: what every feature follows from; parts of another are never mixed in.
        count: how many parts there are.

    Raises:
        FileExistsError: `target` holds something else, or what lies beside it is of another backbone, augmentation,
            choice of bands or data set; says which.
    """

    def __init__(self, target: Path, identity: Facts, count: int) -> None:
        self.target, self.identity, self.count = target, dict(identity), count
        self.folder = target.with_name(f".{target.name}.partial")
        self.finished = (target / MANIFEST).is_file()
        if target.exists() and not self.finished and (not target.is_dir() or any(target.iterdir())):
            raise FileExistsError(f"{target} holds something else, which would be lost; give another store=FOLDER")
        for path in (target / MANIFEST, self.folder / IDENTITY):
            if path.is_file():
                self._check(path)

    def begin(self) -> None:
        """Make the folder of the parts; by one process, before any writes to it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.folder / IDENTITY) as path:
            path.write_text(json.dumps(self.identity, indent=1), encoding="utf-8")

    def is_there(self, number: int) -> bool:
        """Whether a part is whole; one that is not is computed again."""
        path = self._path(number)
        if not path.is_file():
            return False
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if archive.testzip() is None:
                    return True
        log.warning("%s is damaged: it is computed again", path)
        return False

    def write(self, number: int, part: Part) -> None:
        """Keep a part: whole, or not there."""
        arrays: dict[str, Any] = {name: _as_numpy(values) for name, values in part.views.items()}
        bad = np.frombuffer(json.dumps(part.bad).encode(), np.uint8)
        with atomic_file(self._path(number)) as path, path.open("wb") as file:
            np.savez(file, **arrays, rows=part.rows.numpy(), bad=bad)

    def rows(self) -> Tensor:
        """Of all parts, in order, int64 [M]."""
        return torch.cat([torch.from_numpy(self._read(number, "rows")) for number in range(self.count)])

    def bad(self) -> list[BadPatch]:
        """Of all parts, in order."""
        texts = (self._read(number, "bad").tobytes() for number in range(self.count))
        return [BadPatch(*each) for text in texts for each in json.loads(text)]

    def finish(self, facts: Facts, lines: Sequence[Sequence[Any]]) -> None:
        """Put the store together: whole, or not there.

        Args:
            facts: of the manifest, beside the identity.
            lines: of the index, by `COLUMNS`, one a row in order.
        """
        names = [view_name(None), *(view_name(number) for number in range(self.identity["views"]))]
        with atomic_folder(self.target) as folder:
            for name in names:
                self._join(name, folder / f"{name}.npy", len(lines))
            with (folder / INDEX).open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(COLUMNS)
                writer.writerows(lines)
            files = {path.name: checksum(path) for path in sorted(folder.iterdir())}
            manifest = {"format": FORMAT, "kind": "features", **self.identity, **facts, "files": files}
            with atomic_file(folder / MANIFEST) as path:
                path.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        shutil.rmtree(self.folder)

    def _join(self, name: str, path: Path, count: int) -> None:
        kept, dim = DTYPES[self.identity["dtype"]][1], self.identity["dim"]
        header = {"descr": kept, "fortran_order": False, "shape": (count, dim)}
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for number in range(self.count):
                file.write(np.ascontiguousarray(self._read(number, name), kept).data)

    def _read(self, number: int, name: str) -> NDArray[Any]:
        with np.load(self._path(number), allow_pickle=False) as arrays:
            array: NDArray[Any] = arrays[name]
            return array

    def _path(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.npz"

    def _check(self, path: Path) -> None:
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, value in self.identity.items() if before.get(name) != value]
        if changed:
            differ = "; ".join(
                f"{name} was {_short(before.get(name))}, is {_short(self.identity[name])}" for name in changed
            )
            raise FileExistsError(
                f"{path.parent} holds features of another kind ({differ}), and one store holds one kind: give another "
                f"store=FOLDER, the options of then, or remove {path.parent}"
            )


def _as_numpy(values: Tensor) -> NDArray[Any]:
    plain = values.view(torch.int16) if values.dtype == torch.bfloat16 else values
    array: NDArray[Any] = plain.cpu().contiguous().numpy()
    return array.view(np.uint16) if values.dtype == torch.bfloat16 else array


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
