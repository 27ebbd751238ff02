"""Maps of the whole world that ship inside small PyPI packages, read without importing those packages."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from satclip.optional_import import require

Array = NDArray[np.float64]
Raster = NDArray[np.uint8]


def packaged(package: str, inside: str, *, install: str) -> Path:
    """A file of an installed package.

    Raises:
        ModuleNotFoundError: when the package or the file is not there; ends with `install`.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, inside)
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"{Path(inside).name} comes with the package {package}, which is missing: {install}")


def read_image(path: Path) -> Raster:
    """A single-band image (PNG or TIFF) of whole numbers, [rows, columns], north first."""
    require("train", "PIL")
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image, dtype=np.uint8)


def read_hdf5(path: Path, name: str) -> Raster:
    """The dataset `name` of an HDF5 file, [rows, columns].

    Raises:
        ModuleNotFoundError: without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise ModuleNotFoundError("reading elevations needs h5py: pip install 'satclip[demo]'") from error
    with h5py.File(path) as file:
        return np.asarray(file[name])


def at(raster: Raster, lonlat: Array) -> Raster:
    """The cell each place lies in: raster of the whole world, north first from 180 degrees west; degrees [N, 2]."""
    rows, columns = raster.shape
    row = np.floor((90 - lonlat[:, 1]) / 180 * rows).astype(np.int64).clip(0, rows - 1)
    column = np.floor((lonlat[:, 0] + 180) / 360 * columns).astype(np.int64) % columns
    found: Raster = raster[row, column]
    return found
