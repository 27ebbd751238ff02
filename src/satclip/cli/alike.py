"""What `satclip similar` writes for other programs: a raster of similarities, or a list of places."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

import satclip
from satclip.cli.progress import bar
from satclip.cli.rasters import open_raster
from satclip.cli.rasters.cells import Cells, slices
from satclip.files import atomic_file
from satclip.likeness import most_alike
from satclip.location.encoder import LocationEncoder
from satclip.location.grid import encode_rows
from satclip.sphere import great_circle_km, wrap_longitude

Similarities = NDArray[np.float32]


def similarity_of(encoder: LocationEncoder, place: tuple[float, float], cells: Cells, *, land: bool) -> Similarities:
    """Cosine of the embedding of every cell to that of a place, [height, width]; with `land` NaN over the ocean.

    Raises:
        ValueError: no cell is left, or the embedding is not finite.
    """
    with torch.no_grad():
        wanted = F.normalize(encoder(torch.tensor([place], dtype=torch.float64)).double(), dim=-1)[0]
    alike = np.empty((cells.height, cells.width), dtype=np.float32)
    lons, lats = torch.from_numpy(cells.places), torch.from_numpy(cells.latitudes)
    start = 0
    with bar("Embedding the grid", cells.height * cells.width) as progress:
        for block in encode_rows(encoder, lons, lats):
            cosine = F.normalize(block.double(), dim=-1) @ wanted.to(block.device)
            alike[start : start + len(block)] = cosine.cpu().numpy()
            start += len(block)
            progress.advance(block.shape[0] * block.shape[1])
    if not np.isfinite(alike).all():
        raise ValueError("the embedding has NaN or infinite values: the training diverged; lower the learning rate")
    if land:
        alike[~cells.on_land(slice(None), slice(None))] = np.nan
        if np.isnan(alike).all():
            raise ValueError("no centre of a cell lies on land here: take a finer --resolution or --no-land")
    return alike


def list_places(
    alike: Similarities, cells: Cells, place: tuple[float, float], path: Path, *, top: int | None, apart_km: float
) -> int:
    """Write rank, lon, lat, similarity and km from the place, most alike first. Returns how many rows there are."""
    grid = np.stack(np.meshgrid(cells.longitudes, cells.latitudes), -1).reshape(-1, 2)
    kept = np.flatnonzero(~np.isnan(alike.ravel()))
    lonlat = torch.from_numpy(grid[kept])
    lonlat[:, 0] = wrap_longitude(lonlat[:, 0])
    values = torch.from_numpy(alike.ravel()[kept]).double()
    asked = torch.tensor([place], dtype=torch.float64)
    rows = (
        values.argsort(descending=True, stable=True)
        if top is None
        else most_alike(values, lonlat, asked, top, apart_km=apart_km)
    )
    away = great_circle_km(lonlat[rows], asked.expand(len(rows), 2))
    with atomic_file(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("rank", "lon", "lat", "similarity", "km"))
        for rank, (row, km) in enumerate(zip(rows.tolist(), away.tolist(), strict=True), 1):
            lon, lat = lonlat[row].tolist()
            writer.writerow((rank, f"{lon:.6f}", f"{lat:.6f}", f"{float(values[row]):.6f}", f"{km:.1f}"))
    return len(rows)


def write_raster(alike: Similarities, cells: Cells, place: tuple[float, float], source: str, path: Path) -> None:
    """Write a Cloud-Optimised GeoTIFF of one band."""
    tags: dict[str, Any] = {
        "model": source,
        "place": f"{place[0]:.6f} {place[1]:.6f}",
        "software": f"satclip {satclip.__version__}",
    }
    with (
        atomic_file(path) as part,
        open_raster(path, part, cells, width=1, dtype="float32", tags=tags, bands=("similarity",)) as raster,
    ):
        height, width = raster.block
        for columns in slices(cells.width, width):
            for rows in slices(cells.height, height):
                raster.write(rows, columns, alike[rows, columns, None])
