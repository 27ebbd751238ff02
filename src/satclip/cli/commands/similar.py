"""`satclip similar`: what a model finds like one place."""

from pathlib import Path

import click

from satclip.cli import options
from satclip.cli.failures import expected
from satclip.cli.figures import figure_options

_FILES = (".csv", ".tif", ".tiff")
_WORLD = (-180.0, -90.0, 180.0, 90.0)


@click.command(
    short_help="Draw or list what is like one place.",
    epilog="""\b
Examples:
  satclip similar --model microsoft/SatCLIP-ViT16-L40 --lon 13.40 --lat 52.52 -o like-berlin.png
  satclip similar --model last.ckpt --lon -58.38 --lat -34.60 --top 10 -o like-buenos-aires.csv
  satclip similar --model last.ckpt --lon 8.5 --lat 46.6 --bounds 5 43 16 49 --vmin 0 -o like-gotthard.png
  satclip similar --model last.ckpt --lon 8.5 --lat 46.6 --resolution 0.1 --bounds 5 43 16 49 -o like.tif

\b
.csv lists places, most alike first: rank, lon, lat, similarity, km from the place. With --top they lie --apart-km
from it and from each other, or they would be the cells around it. .tif is the similarity of every cell.""",
)
@figure_options
@click.option(
    "--lon",
    type=options.Degrees("longitude", -180, 360),
    metavar="DEGREES",
    required=True,
    help="Longitude of the place, in degrees.",
)
@click.option(
    "--lat",
    type=options.Degrees("latitude", -90, 90),
    metavar="DEGREES",
    required=True,
    help="Latitude of the place, in degrees.",
)
@options.output_option("Where to: .png, .pdf, .svg, .csv or .tif.")
@click.option(
    "--top", type=click.IntRange(1, 10_000), metavar="N", help="Only the N places most alike, or their numbers."
)
@click.option(
    "--apart-km",
    type=click.FloatRange(0, 20_000),
    default=500.0,
    show_default=True,
    metavar="KM",
    help="With --top: how far they lie from the place and from each other.",
)
@click.option(
    "--vmin", type=options.Degrees("a cosine", -1, 1), metavar="COSINE", help="Similarity of the palest colour."
)
@click.option("--vmax", type=options.Degrees("a cosine", -1, 1), metavar="COSINE", help="Similarity of the darkest.")
@options.spacing_option
@options.dims_option
@options.device_option
def similar(
    sources: tuple[str, ...],
    lon: float,
    lat: float,
    output: Path,
    *,
    resolution: float,
    dims: int | None,
    device: str,
    top: int | None,
    apart_km: float,
    vmin: float | None,
    vmax: float | None,
    bounds: tuple[float, float, float, float] | None,
    land: bool,
    points_file: Path | None,
    title: str | None,
    size: float,
    dpi: int,
) -> None:
    """Draw, list or write the cosine similarity of one place's embedding to all land."""
    options.check_output(output, (*options.PICTURES, *_FILES))
    if output.suffix in _FILES:
        _write(sources, (lon, lat), output, resolution, bounds or _WORLD, land, top, apart_km, device, dims)
        return

    from satclip.cli.figures import alone, counting, look_of, opened, read_points, tell_points
    from satclip.plots import similarity_figure
    from satclip.plots.world import save

    if vmin is not None and vmax is not None and vmin >= vmax:
        raise click.BadParameter(f"must lie below --vmax, got {vmin:g} and {vmax:g}", param_hint="--vmin")
    points = read_points(points_file)
    look = look_of(resolution, bounds, land=land, points=points, title=title, size=size, dpi=dpi)
    encoders = opened(sources, device=device, dims=dims)
    tell_points(look)
    with expected(OSError, ValueError, ModuleNotFoundError), counting(encoders, len(look.grid.lonlat) + 1):
        figure = similarity_figure(
            alone(encoders), lon, lat, look, vmin=vmin, vmax=vmax, top=top or 0, apart_km=apart_km
        )
        save(figure, output)
    click.echo(str(output), err=True)


def _write(
    sources: tuple[str, ...],
    place: tuple[float, float],
    output: Path,
    resolution: float,
    bounds: tuple[float, float, float, float],
    land: bool,
    top: int | None,
    apart_km: float,
    device: str,
    dims: int | None,
) -> None:
    """The similarity of every cell, as a raster or a list."""
    if len(sources) > 1:
        raise click.BadParameter("several models become panels of a picture; give one for a file", param_hint="--model")
    if top and output.suffix != ".csv":
        raise click.BadParameter("a raster is of all cells: leave --top, or write .csv", param_hint="--top")

    from satclip.cli.alike import list_places, similarity_of, write_raster
    from satclip.cli.figures import check_cells
    from satclip.cli.models import open_encoder
    from satclip.cli.rasters.cells import Cells

    cells = Cells.covering(bounds, resolution)
    check_cells(cells.height * cells.width)
    encoder = open_encoder(sources[0], device=device, dims=dims)
    with expected(OSError, ValueError, ModuleNotFoundError, prefix=f"{output}: "):
        alike = similarity_of(encoder, place, cells, land=land)
        if output.suffix == ".csv":
            count = list_places(alike, cells, place, output, top=top, apart_km=apart_km)
            short = f", no more lie {apart_km:g} km apart" if top and count < top else ""
            click.echo(f"{count:,} places{short}: {output}", err=True)
        else:
            write_raster(alike, cells, place, sources[0], output)
            click.echo(f"{cells.height} x {cells.width} cells: {output}", err=True)
