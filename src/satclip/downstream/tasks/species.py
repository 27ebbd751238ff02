"""Species seen by citizen scientists."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from satclip.downstream.contract import Labels
from satclip.downstream.tasks.loading import DEFAULT_ROOT, Root, found, labelled
from satclip.downstream.tasks.missing import TaskDataMissing
from satclip.downstream.tasks.origins import remedy
from satclip.downstream.tasks.table import columns, numbers

PARTS = ("train", "val")
Part = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class Species:
    """The species of a photograph at the place where it was taken: the `most_classes` most photographed ones.

    Origin: iNaturalist 2018 (visipedia/inat_comp; photographs under their authors' licences, coordinates non-commercial
    by the competition's terms), 436,063 training and 24,343 validation photographs with coordinates, 8,142 species, in
    the layout of TTE and RANGE: `inat2018_train.npz` and `inat2018_val.npz` with the arrays lon, lat, classes, or
    `inat2018_train.csv` and `inat2018_val.csv` with the columns lon, lat, class. The split that comes with the set is
    kept as the fixed one. Cite Van Horn et al. 2018, CVPR, arXiv 1707.06642; Mac Aodha, Cole and Perona 2019, arXiv
    1906.05272. No image takes part here, so this is not the published prior for image classification.

    Args:
        root: the folder, or folders, of the tasks.
        most_classes: the species with the most training photographs, ties by their number; None for all, for which a
            probe needs gigabytes.
        max_rows: at most so many photographs, drawn by `seed`; None for all.
        seed: of the draw.
    """

    root: Root = DEFAULT_ROOT
    most_classes: int | None = 200
    max_rows: int | None = 20_000
    seed: int = 0
    name: ClassVar[str] = "species"

    def load(self) -> Labels:
        """The photographs of the chosen species.

        Raises:
            TaskDataMissing: one of the two files is not there.
            ValueError: a file has another layout.
        """
        paths = [found(self.root, *(f"species/inat2018_{part}.{kind}" for kind in ("npz", "csv"))) for part in PARTS]
        there = [path for path in paths if path is not None]
        if len(there) < len(PARTS):
            raise TaskDataMissing(self.name, remedy("inat2018_train.npz", "inat2018_val.npz"))
        (train, train_species), (val, val_species) = (_read(path) for path in there)
        species = np.concatenate([train_species, val_species])
        seen = species >= 0
        kept = _most(train_species[train_species >= 0], self.most_classes)
        target = np.where(seen & np.isin(species, kept), np.searchsorted(kept, species), -1)
        target[~seen] = -1
        return labelled(
            self.name,
            np.concatenate([train, val]),
            target.astype(np.int64),
            source=", ".join(map(str, there)),
            classes=tuple(map(str, kept)),
            test=np.arange(len(species)) >= len(train_species),
            max_rows=self.max_rows,
            seed=self.seed,
        )


def _most(species: NDArray[np.int64], count: int | None) -> NDArray[np.int64]:
    """The `count` species that occur most often, in the order of their numbers."""
    numbers_, counts = np.unique(species, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return np.asarray(np.sort(numbers_[order[:count]]))


def _read(path: Path) -> Part:
    """Places [N, 2] and species [N], -1 where there is none."""
    if path.suffix == ".csv":
        table = columns(path, ("lon", "lat", "class"))
        lon, lat, species = (numbers(values, what=f"{path}, {name}") for name, values in table.items())
    else:
        try:
            with np.load(path, allow_pickle=False) as arrays:
                missing = [name for name in ("lon", "lat", "classes") if name not in arrays]
                if missing:
                    raise ValueError(f"it has no array {', '.join(missing)}, only {', '.join(arrays)}")
                lon, lat, species = (np.asarray(arrays[name], np.float64) for name in ("lon", "lat", "classes"))
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is no file of iNaturalist labels: {error}; fetch it again") from error
    if not lon.shape == lat.shape == species.shape or lon.ndim != 1:
        raise ValueError(f"{path}: lon {lon.shape}, lat {lat.shape} and classes {species.shape} differ in length")
    return np.stack([lon, lat], 1), np.where(np.isfinite(species), species, -1).astype(np.int64)
