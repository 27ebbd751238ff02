"""`satclip grid`: the embedding of every cell of the world."""

from pathlib import Path

import click

from satclip.cli import options
from satclip.cli.failures import expected


@click.command(
    short_help="Embed a grid of the world as GeoTIFF, npy or zarr.",
    epilog="""\b
Examples:
  satclip grid --model microsoft/SatCLIP-ViT16-L40 --resolution 0.25 -o world.tif
  satclip grid --model last.ckpt --resolution 0.01 --bounds 5 45 15 55 -o alps.zarr
  satclip grid --model last.ckpt --resolution 0.1 --bounds 165 50 -160 72 --land --dtype int8 -o bering.tif

\b
.tif is a Cloud-Optimised GeoTIFF with overviews and a band for each dimension; .npy is [height, width, D],
north first; .zarr has `embedding` [lat, lon, band] with its coordinates. Values stand at the centres of the
cells; NaN is nodata. With --dtype int8 a .tif has -128 for nodata, and the scale of each band in its
metadata; the grid is embedded twice for that.""",
)
@options.model_option
@options.output_option("Where to: .tif, .npy or .zarr.")
@options.grid_options
@options.land_option(land=False)
@options.dims_option
@options.index_options
@options.device_option
@click.option(
    "--dtype",
    type=click.Choice([*options.DTYPES, "int8"]),
    default="float32",
    show_default=True,
    help="Numbers in the output; float64 also computes in float64, the others in float32; int8 in a .tif alone.",
)
def grid(
    source: str,
    output: Path,
    *,
    resolution: float,
    bounds: tuple[float, float, float, float],
    land: bool,
    dims: int | None,
    store: Path | None,
    retrieval: str,
    exclude_within_km: float,
    device: str,
    dtype: str,
) -> None:
    """Embed a regular grid of the world, or of a part of it, as a raster."""
    options.check_output(output, (".tif", ".tiff", ".npy", ".zarr"), folder=output.suffix == ".zarr")

    if dtype == "int8" and output.suffix not in (".tif", ".tiff"):
        raise click.BadParameter(f"{output.suffix} has no scale for int8: write a .tif", param_hint="--dtype")

    from satclip.cli.rasters.cells import Cells

    cells = Cells.covering(bounds, resolution)  # before torch is imported: a slip is told at once

    import satclip
    from satclip.cli.models import open_model
    from satclip.cli.progress import bar
    from satclip.cli.rasters import check_room, open_raster
    from satclip.cli.rasters.embedded import Embedded
    from satclip.files import atomic_file, atomic_folder
    from satclip.index.range import NothingLeftError

    encoder = open_model(
        source, store, retrieval=retrieval, exclude_within_km=exclude_within_km, device=device, dtype=dtype, dims=dims
    )
    check_room(output, cells, width=encoder.embedding_dim, dtype=dtype)
    embedded = Embedded(encoder, cells, land=land)
    beside = {} if store is None else {"index": str(store), "retrieval": retrieval}
    tags = {"model": source, **beside, "software": f"satclip {satclip.__version__}"}
    atomic = atomic_folder if output.suffix == ".zarr" else atomic_file
    kind = "float32" if dtype == "int8" else dtype
    with (
        expected(OSError, prefix=f"{output}: "),
        expected(NothingLeftError, ModuleNotFoundError),
        bar("Embedding the grid", cells.height * cells.width * (2 if dtype == "int8" else 1)) as progress,
        atomic(output) as part,
    ):
        scales = embedded.scales(progress.advance) if dtype == "int8" else None
        with open_raster(
            output, part, cells, width=encoder.embedding_dim, dtype=kind, tags=tags, scales=scales
        ) as raster:
            for rows, columns, values in embedded.blocks(raster.block):
                raster.write(rows, columns, values.astype(kind, copy=False))
                progress.advance(values.shape[0] * values.shape[1])
    click.echo(f"{cells.height} x {cells.width} cells, {encoder.embedding_dim} numbers each: {output}", err=True)
