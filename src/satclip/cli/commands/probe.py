"""`satclip probe`: one's own table, predicted from an encoder's vectors."""

from pathlib import Path
from typing import Literal

import click

from satclip.cli import options
from satclip.cli.failures import expected, need, tell_file


@click.command(
    short_help="Predict a column of your own table.",
    epilog="""\b
Examples:
  satclip probe best.ckpt stations.csv --target temperature
  satclip probe microsoft/SatCLIP-ViT16-L10 plots.csv --target crop --save crop.npz
  satclip probe best.ckpt fields.gpkg --layer 2026 --target yield --predict yield.tif --bounds 5 45 15 55

\b
A column of numbers is a regression, any other one classes. Scores are of places whose labels were held back: at
random, and in whole cells (10 degrees, less for a region). The probe that is saved has seen all labels.""",
)
@click.argument("source", metavar="SOURCE")
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option("--lon", metavar="COLUMN", help="Column of longitudes; else by name, as `satclip embed` finds it.")
@click.option("--lat", metavar="COLUMN", help="Column of latitudes; else by name.")
@click.option("--crs", metavar="CRS", help="Reference system of the coordinates, where the file does not say.")
@click.option("--layer", metavar="NAME", help="Layer of a GeoPackage that has several with points.")
@click.option(
    "--classes/--regression", "classes", default=None, help="What the column holds, where its type would tell wrongly."
)
@click.option("--rivals", default="default", show_default=True, metavar="NAMES", help="As for `satclip evaluate`.")
@click.option("--draws", type=click.IntRange(min=1), default=5, show_default=True, help="Draws of a hold-out.")
@click.option("--map", "picture", type=click.Path(path_type=Path), metavar="FILE", help="Map of errors: .png.")
@click.option("--save", "kept", type=click.Path(path_type=Path), metavar="FILE", help="The probe: .npz, .safetensors.")
@click.option("--predict", "raster", type=click.Path(path_type=Path), metavar="FILE", help="A grid: .tif or .npy.")
@options.grid_options
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER", help="Full report.")
@options.dims_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
def probe(
    source: str,
    labels: Path,
    *,
    target: str,
    lon: str | None,
    lat: str | None,
    crs: str | None,
    layer: str | None,
    classes: bool | None,
    rivals: str,
    draws: int,
    picture: Path | None,
    kept: Path | None,
    raster: Path | None,
    resolution: float,
    bounds: tuple[float, float, float, float],
    output: Path | None,
    dims: int | None,
    seed: int,
) -> None:
    """Score what SOURCE tells of a column of LABELS, beside honest rivals.

    LABELS is a table of places: CSV (plain or compressed), Parquet, GeoParquet, GeoPackage or GeoJSON.

    A map of the errors is written to LABELS_COLUMN_errors.png in this folder unless --map names another file.
    """
    if raster is None:
        options.refuse_grid_options("--predict")
    need("evaluate", "scipy", "sklearn", "threadpoolctl")
    need("cli", "pyarrow")
    picture = picture or Path(f"{labels.name.split('.')[0]}_{target}_errors.png".replace("/", "_"))
    for option, path, suffixes in (
        ("--map", picture, (".png",)),
        ("--save", kept, (".npz", ".safetensors")),
        ("--predict", raster, (".tif", ".tiff", ".npy")),
    ):
        if path is not None:
            options.check_output(path, suffixes, input_file=labels, option=option)

    import numpy as np

    from satclip.cli.models import check_dims
    from satclip.cli.probing import draw_errors, predict
    from satclip.cli.rasters import check_room
    from satclip.cli.rasters.cells import Cells
    from satclip.cli.tables.labels import read_labels
    from satclip.downstream.benchmark.choose import Chosen
    from satclip.downstream.benchmark.files import check_folder, save
    from satclip.downstream.benchmark.fitted import check_vectors, fit
    from satclip.downstream.benchmark.rows import rows, shortened
    from satclip.downstream.benchmark.run import benchmark
    from satclip.downstream.benchmark.settings import Settings, words
    from satclip.downstream.benchmark.terminal import tell, tell_rows, watching
    from satclip.downstream.benchmark.words import labelled
    from satclip.downstream.rivals import Frozen

    cells = None if raster is None else Cells.covering(bounds, resolution)
    if raster is not None and cells is not None:
        check_room(raster, cells, width=1, dtype="float64")
    with expected(ValueError, OSError, LookupError, ModuleNotFoundError):
        if output is not None:
            check_folder(output)
        kind: Literal["classification", "regression"] | None = (
            None if classes is None else "classification" if classes else "regression"
        )
        task, without = read_labels(labels, target, lon=lon, lat=lat, crs=crs, layer=layer, kind=kind)
        made = rows((source,), words(rivals))
        if kept is not None or raster is not None:
            check_vectors(made.rows[0])
        if dims is not None:
            whole = made.rows[0](np.zeros((1, 2))).shape[1] if isinstance(made.rows[0], Frozen) else dims
            check_dims(dims, whole, getattr(made.rows[0], "blocks", ()), source)
            made = shortened(made, dims)
        settings = Settings(labels=("all",), draws=draws, places=10_000, seed=seed)
        with watching("Probing") as progress:
            found = benchmark(made, Chosen.of((task,)), settings, progress)
    left = f"{without:,} row{'s' * (without != 1)} without a place or a value left out"
    click.echo(f"{labelled(task)}; {left}", err=True)
    tell_rows(found, task.name)
    tell(found)
    with expected(ValueError, OSError, ModuleNotFoundError):
        tell_file(draw_errors(found, task, picture))
        if output is not None:
            save(found, output, watch=tell_file)
        if kept is None and raster is None:
            return
        fitted, encoder = fit(made.rows[0], task, seed=seed)
        if kept is not None:
            fitted.save(kept)
            tell_file(kept)
        if raster is not None and cells is not None:
            predict(fitted, encoder, raster, cells, task, target)
            tell_file(raster)
