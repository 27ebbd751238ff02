"""`satclip grid`: the embedding of every cell of the world."""

from functools import partial
from itertools import chain, islice
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

\b
GeoTIFF has a band for each dimension; .npy is [height, width, D], north first; .zarr has `embedding`
[lat, lon, band] with its coordinates. Values stand at the centres of the cells.""",
)
@options.model_option
@options.output_option("Where to: .tif, .npy or .zarr.")
@options.grid_options
@options.dims_option
@options.index_options
@options.device_option
@options.dtype_option
def grid(
    source: str,
    output: Path,
    *,
    resolution: float,
    bounds: tuple[float, float, float, float],
    dims: int | None,
    store: Path | None,
    retrieval: str,
    exclude_within_km: float,
    device: str,
    dtype: str,
) -> None:
    """Embed a regular grid of the world, or of a part of it, as a raster."""
    options.check_output(output, (".tif", ".tiff", ".npy", ".zarr"), folder=output.suffix == ".zarr")

    from satclip.cli.rasters.cells import Cells, slices

    cells = Cells.covering(bounds, resolution)  # before torch is imported: a slip is told at once

    import torch

    import satclip
    from satclip.cli.models import open_model
    from satclip.cli.progress import bar
    from satclip.cli.rasters import check_room, open_raster
    from satclip.files import atomic_file, atomic_folder
    from satclip.index import RangeEncoder
    from satclip.index.range import NothingLeftError
    from satclip.location.grid import encode_rows

    encoder = open_model(
        source, store, retrieval=retrieval, exclude_within_km=exclude_within_km, device=device, dtype=dtype, dims=dims
    )
    blocks = encoder.rows if isinstance(encoder, RangeEncoder) else partial(encode_rows, encoder)
    check_room(output, cells, width=encoder.embedding_dim, dtype=dtype)
    longitudes, latitudes = torch.from_numpy(cells.longitudes), torch.from_numpy(cells.latitudes)
    beside = {} if store is None else {"index": str(store), "retrieval": retrieval}
    tags = {"model": source, **beside, "software": f"satclip {satclip.__version__}"}
    atomic = atomic_folder if output.suffix == ".zarr" else atomic_file
    with (
        expected(OSError, prefix=f"{output}: "),
        expected(NothingLeftError),
        atomic(output) as part,
        open_raster(output, part, cells, width=encoder.embedding_dim, dtype=dtype, tags=tags) as raster,
        bar("Embedding the grid", cells.height * cells.width) as progress,
    ):
        height, width = raster.block
        for columns in slices(cells.width, width):
            embedded = chain.from_iterable(blocks(longitudes[columns], latitudes))
            for rows in slices(cells.height, height):
                values = torch.stack(tuple(islice(embedded, rows.stop - rows.start)))
                raster.write(rows, columns, values.cpu().numpy().astype(dtype, copy=False))
                progress.advance(values.shape[0] * values.shape[1])
    click.echo(f"{cells.height} x {cells.width} cells, {encoder.embedding_dim} numbers each: {output}", err=True)
