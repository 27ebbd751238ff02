"""What `satclip probe` leaves behind: a map of errors, and a grid of predictions."""

from pathlib import Path

import numpy as np

import satclip
from satclip.cli.progress import bar
from satclip.cli.rasters import open_raster
from satclip.cli.rasters.cells import Cells, slices
from satclip.downstream.benchmark.answered import answered
from satclip.downstream.benchmark.fitted import Fitted
from satclip.downstream.benchmark.maps import error_maps
from satclip.downstream.benchmark.run import Benchmark
from satclip.downstream.contract import Labels, Places
from satclip.files import atomic_file
from satclip.plots.world import save


def draw_errors(found: Benchmark, task: Labels, path: Path) -> Path:
    """Write the map of errors of the first subject, under held-out cells where there are any. Returns `path`.

    Raises:
        ModuleNotFoundError: without the packages that carry the outlines of the land.
    """
    holdouts = [key[1] for key in found.results.keys]
    holdout, subject = holdouts[-1], found.subjects[0]
    answers = answered(found.tasks[task.name], found.results.of((task.name, holdout, "all"), subject))
    if answers is None:
        raise ValueError(f"{task.name}: no place was tested, so there is nothing to draw; give it more labels")
    return save(error_maps(found.tasks[task.name], answers, f"{subject}: {task.name}, {holdout}"), path)


def predict(fitted: Fitted, encoder: Places, path: Path, cells: Cells, labels: Labels, target: str) -> None:
    """Write the prediction at the centre of every cell, one band; classes as their codes, named in the tags."""
    tags = {"model": encoder.name, "target": target, "software": f"satclip {satclip.__version__}"}
    tags |= {name: value for name, value in fitted.about.items() if name in ("unit", "labels", "inner_score") and value}
    if fitted.classes is not None:
        tags["classes"] = ", ".join(f"{code} = {name}" for code, name in enumerate(fitted.classes))
    # In float32 a large offset (seconds since 1970, an easting) would swallow what the labels differ by.
    coarse = np.spacing(np.float32(np.abs(labels.target).max())) > 1e-3 * np.ptp(labels.target)
    dtype = "float64" if labels.classes is None and coarse else "float32"
    with (
        atomic_file(path) as part,
        open_raster(path, part, cells, width=1, dtype=dtype, tags=tags, bands=(target,)) as raster,
        bar("Predicting the grid", cells.height * cells.width) as progress,
    ):
        height, width = raster.block
        for columns in slices(cells.width, width):
            longitudes = cells.places[columns]
            for rows in slices(cells.height, height):
                latitudes = cells.latitudes[rows]
                places = np.stack(np.meshgrid(longitudes, latitudes), -1).reshape(-1, 2)
                parts = [fitted(encoder(part)) for part in np.array_split(places, max(1, len(places) // 8192))]
                values = np.concatenate(parts).astype(dtype).reshape(len(latitudes), len(longitudes), 1)
                raster.write(rows, columns, values)
                progress.advance(len(places))
